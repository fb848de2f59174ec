"""Joining, splitting and repeating arrays.

A join is assembled from its parts. The producer of a part writes directly into the joined array if
nothing else reads the part.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import mul
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.errors import ArgumentError, GraphTypeError, ShapeError
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.op import as_variable, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import INTEGERS, TensorType, upcast
from tinygrad_mnist.graph.values import MOST_DIMENSIONS, axis_number, integer, is_integer, several
from tinygrad_mnist.graph.variables import (
    Constant,
    HostValues,
    Node,
    Op,
    Variable,
    described,
)
from tinygrad_mnist.ops import infix
from tinygrad_mnist.ops.creation import zeros_like
from tinygrad_mnist.ops.elementwise import cast, settle_constants, sum_to
from tinygrad_mnist.ops.nonzero import REPEATED_INDICES
from tinygrad_mnist.ops.shape import (
    alloc,
    as_integer_scalar,
    dimshuffle,
    flatten,
    length,
    reshape,
    shape_scalars,
    static_reshape,
    with_ndim,
)
from tinygrad_mnist.ops.slices import assemble, static_slice

MAX_DIMS = 8  # of an array that kernels take

# --- join -------------------------------------------------------------------------------------


def _join_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    axis = params["axis"]
    flags: list[bool] = []
    shape: list[int | None] = []
    for d in range(types[0].ndim):
        lengths = [t.shape[d] for t in types]
        known = set(lengths) - {None}
        if d == axis:
            flags.append(False)
            shape.append(None if None in lengths else sum(n for n in lengths if n is not None))
            continue
        if len(known) > 1:
            shapes = ", ".join(str(t.shape) for t in types)
            raise ShapeError(f"arrays of shapes {shapes} can't be joined along axis {axis}")
        flags.append(any(t.broadcastable[d] for t in types))
        shape.append(known.pop() if known else None)
    return [TensorType(types[0].dtype, tuple(flags), tuple(shape))]


def _join_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    axis = node.params["axis"]
    (type,) = _join_infer(node.params, [v.type for v in inputs])
    shape, start = type.static_shape, 0
    parts = []
    for part in inputs:
        n = part.type.static_shape[axis]
        if n:
            parts.append((part, StaticSlice.whole(shape).along(axis, start, n)))
        start += n
    if len(parts) < 2:
        only = parts[0][0] if parts else inputs[0]
        return [static_reshape(only, shape, type.broadcastable)]
    return [assemble(None, parts, shape, type.broadcastable)]


def _join_vjp(node: Node, g: Variable) -> list[Variable | None]:
    axis = node.params["axis"]
    sizes = [length(v, axis) for v in node.inputs]
    parts = _SPLIT.node(g, *sizes, axis=axis).outputs
    return [sum_to(part, v) for part, v in zip(parts, node.inputs, strict=True)]


# arrays of one dtype and rank -> them side by side; params axis
_JOIN = register_op(
    Op("join", _join_infer, None, vjp=_join_vjp, specialise=_join_specialise, infix=infix.join)
)


@api_function
def concatenate(tensor_list: Sequence[Any], axis: int = 0) -> Variable:
    """The arrays side by side along `axis`, in the dtype that holds them all.

    All have the same number of axes and, except along `axis`, the same lengths. Raises
    GraphTypeError for an empty list, for scalars and for different numbers of axes, ShapeError for
    lengths that differ.
    """
    given = several(tensor_list, "what concatenate takes", "arrays")
    if not given:
        raise ArgumentError("concatenate takes a list of at least one array")
    parts = settle_constants([as_variable(v) for v in given])
    ndims = [v.ndim for v in parts]
    if min(ndims) == 0:
        raise GraphTypeError("scalars can't be concatenated; T.stack makes a vector of them")
    if len(set(ndims)) > 1:
        raise GraphTypeError(f"arrays with {', '.join(map(str, ndims))} dimensions can't be joined")
    along = axis_number(axis, ndims[0])
    if len(parts) == 1:
        return parts[0]
    dtype = upcast(*(v.dtype for v in parts))
    return _JOIN(*(cast(v, dtype) for v in parts), axis=along)


def join(axis: int, *tensors: Any) -> Variable:
    """`concatenate`, in Theano's older order of arguments."""
    return concatenate(tensors, axis)


@api_function
def stack(*arrays: Any, axis: Any = 0, tensors: Sequence[Any] | None = None) -> Variable:
    """Arrays of one shape, `stack([a, b])`, `stack([a, b], axis)` or `stack(a, b)`, along a new
    axis."""
    given = arrays if tensors is None else (tensors,)
    first, *rest = given or [()]
    if isinstance(first, list | tuple) and (not rest or (len(rest) == 1 and is_integer(rest[0]))):
        given, axis = tuple(first), rest[0] if rest else axis
    if not given:
        raise GraphTypeError("stack takes at least one array")
    parts = settle_constants([as_variable(v) for v in given])
    ndims = sorted({v.ndim for v in parts})
    if len(ndims) > 1:
        raise GraphTypeError(f"arrays with {ndims[0]} and {ndims[-1]} dimensions can't be stacked")
    at = axis_number(axis, ndims[0] + 1)
    pattern = [*range(at), "x", *range(at, ndims[0])]
    return concatenate([dimshuffle(v, *pattern) for v in parts], at)


def stacklists(arg: Any) -> Variable:
    """An array of nested lists, whose innermost entries are arrays of one shape."""
    if not isinstance(arg, list | tuple):
        return as_variable(arg)
    return stack([stacklists(entry) for entry in arg])


def horizontal_stack(*args: Any) -> Variable:
    """Matrices with equally many rows, side by side."""
    return concatenate([_matrix(v, "horizontal_stack") for v in args], 1)


def vertical_stack(*args: Any) -> Variable:
    """Matrices with equally many columns, one below the other."""
    return concatenate([_matrix(v, "vertical_stack") for v in args], 0)


def _matrix(x: Any, name: str) -> Variable:
    variable = as_variable(x)
    if variable.ndim != 2:
        raise GraphTypeError(f"{name} takes matrices, not {variable.type}")
    return variable


# --- split ------------------------------------------------------------------------------------


def _split_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, axis = types[0], params["axis"]
    flags = tuple(b and d != axis for d, b in enumerate(x.broadcastable))
    lengths = tuple(None if d == axis else n for d, n in enumerate(x.shape))
    return [TensorType(x.dtype, flags, lengths)] * (len(types) - 1)


def _split_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x, axis = inputs[0], node.params["axis"]
    sizes = [host.by_value(n) for n in node.inputs[1:]]
    shape = x.type.static_shape
    if sum(sizes) != shape[axis] or min(sizes) < 0:
        raise ShapeError(f"an axis of length {shape[axis]} can't be split into {sizes}")
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return [
        static_slice(x, StaticSlice.whole(shape).along(axis, start, n), out.broadcastable)
        for start, n, out in zip(starts, sizes, node.outputs, strict=True)
    ]


def _split_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    parts = [
        zeros_like(v) if g is None else g for v, g in zip(node.outputs, cotangents, strict=True)
    ]
    joined = _JOIN(*parts, axis=node.params["axis"])
    return [sum_to(joined, node.inputs[0]), *(None for _ in node.inputs[1:])]


# an array, the length of each part -> its parts along params["axis"]
_SPLIT = register_op(
    Op(
        "split",
        _split_infer,
        None,
        multi_vjp=_split_vjp,
        n_connected=1,
        specialise=_split_specialise,
    )
)


def split(x: Any, splits_size: Any, n_splits: int | None = None, axis: int = 0) -> list[Variable]:
    """`x` cut along `axis` into parts of the lengths `splits_size`, ints and integer scalars that
    add up to that of `x`. n_splits: the number of parts, needed for a symbolic vector."""
    variable = as_variable(x)
    if isinstance(splits_size, Variable):
        if n_splits is None:
            raise GraphTypeError("a symbolic splits_size needs n_splits=, the number of parts")
        if splits_size.ndim != 1:
            raise GraphTypeError(f"{described(splits_size)}; splits_size must be a vector")
        splits_size = [splits_size[k] for k in range(integer(n_splits, "n_splits", 1))]
    given = several(splits_size, "splits_size", "integers and integer scalars")
    sizes = [as_integer_scalar(n, "a length in splits_size") for n in given]
    count = len(sizes) if n_splits is None else integer(n_splits, "n_splits")
    if not sizes or count != len(sizes):
        raise ArgumentError(f"n_splits is {count}; splits_size has {len(sizes)} lengths")
    at = axis_number(axis, variable.ndim)
    return list(_SPLIT.node(variable, *sizes, axis=at).outputs)


# --- repeated ---------------------------------------------------------------------------------


@api_function
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Repeats every element along `axis` (None: of the flattened array) `repeats` times.

    repeats: an int or an integer scalar; or a vector with a number for each element along the axis.
    """
    variable = as_variable(x)
    if axis is None:
        variable, axis = flatten(variable), 0
    at = axis_number(axis, variable.ndim)
    wanted = as_variable(repeats)
    if wanted.ndim > 0 and wanted.type.shape != (1,):
        return _repeated_each(variable, wanted, at)
    times = as_integer_scalar(wanted[0] if wanted.ndim else wanted, "repeats")
    lengths = [length(variable, d) for d in range(variable.ndim)]
    if variable.ndim == MAX_DIMS:
        repeated = _copies(variable, at + 1, times)
        return reshape(repeated, [*lengths[:at], lengths[at] * times, *lengths[at + 1 :]])
    pattern = [*range(at + 1), "x", *range(at + 1, variable.ndim)]
    repeated = alloc(dimshuffle(variable, *pattern), *lengths[: at + 1], times, *lengths[at + 1 :])
    lengths[at] = lengths[at] * times
    return reshape(repeated, lengths)


def _repeated_each(x: Variable, repeats: Variable, axis: int) -> Variable:
    """Every element along an axis as often as the vector `repeats` says."""
    if repeats.ndim != 1 or repeats.dtype not in INTEGERS:
        raise GraphTypeError(
            f"{described(repeats)}; repeats must be an integer scalar or a vector of integers"
        )
    return x[(slice(None),) * axis + (REPEATED_INDICES(repeats, length(x, axis)),)]


def _copies(x: Variable, axis: int, n: Variable) -> Variable:
    """`x` as (rows, n, columns), whose columns are the axes of `x` from `axis` on. Three axes do
    where one more than `x` has would be too many."""
    lengths = [length(x, d) for d in range(x.ndim)]
    rows, columns = (reduce(mul, part, as_variable(1)) for part in (lengths[:axis], lengths[axis:]))
    return alloc(dimshuffle(reshape(x, [rows, columns]), 0, "x", 1), rows, n, columns)


def _tiled_by_axis(x: Variable, times: Sequence[Variable]) -> Variable:
    """`tile`, one axis after the other."""
    ndim = len(times)
    x = with_ndim(x, ndim)
    for axis, n in enumerate(times):
        if not (isinstance(n, Constant) and n.value.item() == 1):
            lengths = [length(x, d) for d in range(ndim)]
            lengths[axis] = n * lengths[axis]
            x = reshape(_copies(x, axis, n), lengths)
    return x


def tile(x: Any, reps: Any, ndim: int | None = None) -> Variable:
    """`x` repeated as a whole, `reps` times along each axis.

    reps: ints and integer scalars, or a vector of `ndim` integers. If they are fewer than the axes
    they are for the last ones; if they are more, `x` gets new axes in front. ndim: the axes of the
    result, if it has more. Raises ArgumentError if it has fewer than reps.
    """
    variable = as_variable(x)
    if isinstance(reps, Variable) and reps.ndim == 1:
        times = shape_scalars(reps, ndim)
    else:
        given = reps if isinstance(reps, list | tuple) else [reps]
        times = [as_integer_scalar(n, "a number in reps") for n in given]
    least = max(len(times), variable.ndim)
    ndim = least if ndim is None else integer(ndim, "the ndim of tile", len(times))
    if max(ndim, least) > MOST_DIMENSIONS:
        raise ArgumentError(f"tile to {ndim} axes; arrays have at most {MOST_DIMENSIONS}")
    ndim = max(ndim, least)
    times = [as_variable(1)] * (ndim - len(times)) + times
    if 2 * ndim > MAX_DIMS:
        return _tiled_by_axis(variable, times)
    added = ndim - variable.ndim
    lengths = [as_variable(1)] * added + [length(variable, d) for d in range(variable.ndim)]
    pattern: list[Any] = []
    for d in range(ndim):
        pattern.extend(("x", "x" if d < added else d - added))
    both = [n for pair in zip(times, lengths, strict=True) for n in pair]
    repeated = alloc(dimshuffle(variable, *pattern), *both)
    return reshape(repeated, [a * b for a, b in zip(times, lengths, strict=True)])
