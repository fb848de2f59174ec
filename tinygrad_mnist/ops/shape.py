"""Shapes and views: reshape, dimshuffle, flatten, transpose, shape, alloc.

Ops whose result's shape comes from symbolic integers (`reshape`, `alloc`) become static ones
when a graph is specialised; the static ones are views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.contracts.core.sizes import n_elements
from tinygrad_mnist.errors import ArgumentError, GraphTypeError, ShapeError
from tinygrad_mnist.graph.layout import Layout, reshaped
from tinygrad_mnist.graph.op import OPS, as_variable, constant, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import (
    INTEGERS,
    TensorType,
    static_type,
    tensor_type,
)
from tinygrad_mnist.graph.values import axis_numbers, integer, is_integer, several, shown
from tinygrad_mnist.graph.variables import Constant, HostValues, Node, Op, Variable, described
from tinygrad_mnist.ops import infix
from tinygrad_mnist.ops.elementwise import settle_constants

MAX_INT64 = 2**63 - 1


def as_integer_scalar(value: Any, what: str) -> Variable:
    """A 0-d integer variable; GraphTypeError, naming `what` it is for, if it can't be one."""
    if not isinstance(value, Variable | np.ndarray) and not is_integer(value):
        raise GraphTypeError(f"{described(value)}; {what} must be an integer scalar")
    variable = as_variable(value)
    if variable.ndim != 0 or variable.dtype not in INTEGERS:
        raise GraphTypeError(f"{described(variable)}; {what} must be an integer scalar")
    return variable


def integer_pair(value: Any, name: str, least: int) -> tuple[int, int]:
    """Two ints, given as a pair or as one int for both; GraphTypeError with `name` otherwise."""
    is_pair = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim)
    pair = value if is_pair else (value, value)
    if len(pair) != 2 or not all(map(is_integer, pair)) or min(pair) < least:
        raise ArgumentError(
            f"{name} is {shown(value)}; it is two ints >= {least}{at(user_source())}"
        )
    if max(map(int, pair)) > MAX_INT64:
        raise ArgumentError(f"{name} is {shown(value)}; ints go up to 2**63 - 1{at(user_source())}")
    return int(pair[0]), int(pair[1])


# --- shape ------------------------------------------------------------------------------------


def _shape_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [static_type("int64", (types[0].ndim,), (types[0].ndim == 1,))]


def _shape_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [np.array(inputs[0].shape, dtype="int64")]


def _shape_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    return [constant(inputs[0].type.static_shape, "int64")]


_SHAPE = register_op(
    Op(
        "shape",
        _shape_infer,
        _shape_reference,
        n_connected=0,
        specialise=_shape_specialise,
        infix=infix.shape,
    )
)


@api_function
def shape(x: Any) -> Variable:
    """The shape of `x`, an int64 vector; index it for one length."""
    return _SHAPE(as_variable(x))


def length(x: Variable, axis: int) -> Variable:
    """The length of one axis of `x`, a constant where it is already known."""
    known = x.type.shape[axis]
    return constant(known, "int64") if known is not None else shape(x)[axis]


# --- reshape ----------------------------------------------------------------------------------


def _reshape_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [tensor_type(types[0].dtype, params["broadcastable"])]


def resolve_shape(wanted: Sequence[int], given: tuple[int, ...]) -> tuple[int, ...]:
    """`wanted` with a -1 replaced by the remaining length; ShapeError where the sizes differ."""
    size = n_elements(given)
    unknown = [i for i, n in enumerate(wanted) if n == -1]
    if len(unknown) > 1 or any(n < -1 for n in wanted):
        raise ShapeError(f"{tuple(wanted)} is not a shape: one length may be -1, none may be less")
    rest = n_elements(n for n in wanted if n != -1)
    if unknown and rest and size % rest == 0:
        wanted = [size // rest if n == -1 else n for n in wanted]
        rest = size
    if rest != size or (unknown and -1 in wanted):
        raise ShapeError(f"an array of shape {given} can't be reshaped to {tuple(wanted)}")
    return tuple(wanted)


def _reshape_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x = inputs[0]
    wanted = [host.by_value(n) for n in node.inputs[1:]]
    lengths = resolve_shape(wanted, x.type.static_shape)
    for axis, fixed in enumerate(node.params["broadcastable"]):
        if fixed and lengths[axis] != 1:
            raise ShapeError(f"axis {axis} of the reshaped array broadcasts; it has {lengths}")
    return [static_reshape(x, lengths, node.params["broadcastable"])]


def _reshape_vjp(node: Node, g: Variable) -> list[Variable | None]:
    x = node.inputs[0]
    back = _RESHAPE(g, *(length(x, i) for i in range(x.ndim)), broadcastable=x.broadcastable)
    return [back, *(None for _ in node.inputs[1:])]


_RESHAPE = register_op(
    Op(
        "reshape",
        _reshape_infer,
        None,
        vjp=_reshape_vjp,
        n_connected=1,
        specialise=_reshape_specialise,
        infix=infix.reshape,
    )
)


@api_function
def reshape(x: Any, newshape: Any, ndim: int | None = None) -> Variable:
    """`x` in another shape, C order: `newshape` is a tuple of ints and integer scalars, one of
    them -1 if wanted, or a symbolic vector such as `y.shape` with `ndim` its length."""
    variable = as_variable(x)
    lengths = shape_scalars(newshape, ndim)
    broadcastable = tuple(isinstance(n, Constant) and int(n.value) == 1 for n in lengths)
    return _RESHAPE(variable, *lengths, broadcastable=broadcastable)


def without_broadcasting(x: Variable, broadcastable: tuple[bool, ...]) -> Variable:
    """`x` with fewer axes that broadcast: those of `broadcastable`."""
    if x.broadcastable == broadcastable:
        return x
    return _RESHAPE(x, *(length(x, i) for i in range(x.ndim)), broadcastable=broadcastable)


def shape_scalars(lengths: Any, ndim: int | None = None) -> list[Variable]:
    """The integer scalars of a shape given as a tuple, one integer, or a symbolic vector."""
    if isinstance(lengths, Variable) and lengths.ndim == 1:
        if lengths.dtype not in INTEGERS:
            raise GraphTypeError(f"{described(lengths)}; a shape must be integers")
        known = lengths.type.shape[0]
        if ndim is not None:
            ndim = integer(ndim, "ndim", 0)
        if ndim is None and known is None:
            raise GraphTypeError("a symbolic shape needs ndim=, the number of dimensions")
        return [lengths[i] for i in range(ndim if known is None else known)]  # type: ignore[arg-type]
    if isinstance(lengths, Variable) or is_integer(lengths):
        lengths = (lengths,)
    given = several(lengths, "the shape", "integers and integer scalars")
    return [as_integer_scalar(n, "a length in a shape") for n in given]


def _static_reshape_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    resolve_shape(params["shape"], types[0].static_shape)
    return [static_type(types[0].dtype, params["shape"], params["broadcastable"])]


_STATIC_RESHAPE = register_op(
    Op(
        "static_reshape",
        _static_reshape_infer,
        lambda params, inputs, outputs: [inputs[0].reshape(params["shape"])],
        view=lambda params, layout: reshaped(layout, params["shape"]),
    )
)


def static_reshape(
    x: Variable, lengths: tuple[int, ...], broadcastable: tuple[bool, ...]
) -> Variable:
    """`x` of known shape, reshaped to numbers."""
    if x.type.shape == lengths and x.broadcastable == broadcastable:
        return x
    return _STATIC_RESHAPE(x, shape=lengths, broadcastable=broadcastable)


# --- dimshuffle -------------------------------------------------------------------------------


def _dimshuffle_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    (x,) = types
    pattern = params["pattern"]
    kept = [p for p in pattern if p != "x"]
    if len(set(kept)) != len(kept) or any(not 0 <= p < x.ndim for p in kept):
        raise ArgumentError(f"pattern {pattern} doesn't fit {x.ndim} dimensions")
    for axis in set(range(x.ndim)) - set(kept):
        if not x.broadcastable[axis]:
            raise ArgumentError(f"axis {axis} of {x} is dropped but doesn't broadcast")
    return [
        TensorType(
            x.dtype,
            tuple(p == "x" or x.broadcastable[p] for p in pattern),
            tuple(1 if p == "x" else x.shape[p] for p in pattern),
        )
    ]


def _dimshuffle_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    pattern = params["pattern"]
    (x,) = inputs
    kept = [p for p in pattern if p != "x"]
    dropped = [i for i in range(x.ndim) if i not in kept]
    moved = x.transpose(kept + dropped).reshape([x.shape[p] for p in kept])
    return [np.expand_dims(moved, [i for i, p in enumerate(pattern) if p == "x"])]


def _dimshuffle_view(params: Params, layout: Layout) -> Layout:
    pattern = params["pattern"]
    return layout.rearranged(
        (1 if p == "x" else layout.shape[p] for p in pattern),
        (0 if p == "x" else layout.strides[p] for p in pattern),
    )


def _dimshuffle_vjp(node: Node, g: Variable) -> list[Variable | None]:
    pattern = node.params["pattern"]
    back = tuple(pattern.index(i) if i in pattern else "x" for i in range(node.inputs[0].ndim))
    extra = tuple(i for i, p in enumerate(pattern) if p == "x")
    if extra:  # these broadcast in the result, so its gradient may not be summed over them
        g = OPS["sum"](g, axes=extra)
    return [_DIMSHUFFLE(g, pattern=back)]


_DIMSHUFFLE = register_op(
    Op(
        "dimshuffle",
        _dimshuffle_infer,
        _dimshuffle_reference,
        vjp=_dimshuffle_vjp,
        view=_dimshuffle_view,
        shown="pattern",
        infix=infix.dimshuffle,
    )
)


@api_function
def dimshuffle(x: Any, *pattern: Any) -> Variable:
    """The axes of `x` in another order; `'x'` adds an axis that broadcasts, a broadcastable axis
    that is left out is dropped: `b.dimshuffle('x', 0, 'x', 'x')`."""
    variable = as_variable(x)
    if len(pattern) == 1 and isinstance(pattern[0], list | tuple):
        pattern = tuple(pattern[0])
    axes = tuple(_pattern_entry(p) for p in pattern)
    if axes == tuple(range(variable.ndim)):
        return variable
    return _DIMSHUFFLE(variable, pattern=axes)


def with_ndim(x: Variable, ndim: int) -> Variable:
    """`x` with axes in front that broadcast, up to `ndim` axes in all."""
    return dimshuffle(x, *("x",) * (ndim - x.ndim), *range(x.ndim))


def _pattern_entry(entry: Any) -> int | str:
    if isinstance(entry, str) and entry == "x":
        return entry
    if not is_integer(entry):
        raise GraphTypeError(
            f"{described(entry)}; a pattern of dimshuffle has numbers of axes, and 'x' for new ones"
        )
    return int(entry)


@api_function
def transpose(x: Any, *order: Any, axes: Any = None) -> Variable:
    """`x` with its axes in reverse order, or in the order of `axes`: `transpose(x, 1, 0)`,
    `transpose(x, (1, 0))` or `transpose(x, axes=(1, 0))`."""
    variable = as_variable(x)
    given = order if axes is None else axes
    if len(order) == 1 and (order[0] is None or isinstance(order[0], list | tuple)):
        given = order[0] or ()
    order = axis_numbers(given, variable.ndim)
    if order and len(order) != variable.ndim:
        raise ArgumentError(f"axes {given} are no order of {variable.ndim} axes")
    return dimshuffle(variable, *(order or reversed(range(variable.ndim))))


@api_function
def flatten(x: Any, ndim: int | None = None, outdim: int | None = None) -> Variable:
    """`x` with its last axes joined so that `ndim` are left, 1 by default; C order. outdim: an
    older name of `ndim`."""
    variable = as_variable(x)
    if ndim is not None and outdim is not None:
        raise ArgumentError("flatten got both ndim and outdim, which are the same")
    given = next((n for n in (ndim, outdim) if n is not None), 1)
    ndim = integer(given, "ndim of flatten", 1)
    if ndim > max(variable.ndim, 1):
        raise ArgumentError(f"flatten to {ndim} dimensions of {variable.ndim}")
    return reshape(variable, [length(variable, i) for i in range(ndim - 1)] + [-1])


# --- alloc ------------------------------------------------------------------------------------


def _alloc_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [tensor_type(types[0].dtype, params["broadcastable"])]


def _alloc_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    lengths = tuple(host.by_value(n) for n in node.inputs[1:])
    if any(n < 0 for n in lengths):
        raise ShapeError(f"{lengths} is not a shape: lengths can't be negative")
    x = inputs[0]
    for axis, (n, broadcasts) in enumerate(zip(x.type.static_shape, x.broadcastable, strict=True)):
        if not broadcasts and n != lengths[len(lengths) - x.ndim + axis]:
            raise ShapeError(f"an array of shape {x.type.static_shape} doesn't fill {lengths}")
    return [static_broadcast(x, lengths, node.params["broadcastable"])]


def _alloc_vjp(node: Node, g: Variable) -> list[Variable | None]:
    x = node.inputs[0]
    left = g.ndim - x.ndim
    broadcast = [
        left + i for i, b in enumerate(x.broadcastable) if b and not g.broadcastable[left + i]
    ]
    back: Variable = g
    axes = (*range(left), *broadcast)
    if axes:
        back = _DIMSHUFFLE(OPS["sum"](g, axes=axes), pattern=tuple(range(left, g.ndim)))
    return [back, *(None for _ in node.inputs[1:])]


_ALLOC = register_op(
    Op("alloc", _alloc_infer, None, vjp=_alloc_vjp, n_connected=1, specialise=_alloc_specialise)
)


@api_function
def alloc(value: Any, *lengths: Any) -> Variable:
    """`value` broadcast to a shape, whose lengths are ints or integer scalars. A Python float is
    floatX, a Python int the narrowest integer that holds it."""
    scalars = shape_scalars(lengths)
    (variable,) = settle_constants([as_variable(value)])
    if variable.ndim > len(scalars):
        raise GraphTypeError(
            f"a value with {variable.ndim} dimensions can't fill {len(scalars)} dimensions"
        )
    broadcastable = tuple(isinstance(n, Constant) and int(n.value) == 1 for n in scalars)
    return _ALLOC(variable, *scalars, broadcastable=broadcastable)


def broadcast_like(x: Variable, like: Variable) -> Variable:
    """`x` broadcast to the shape of `like`."""
    lengths = [length(like, i) for i in range(like.ndim)]
    result = _ALLOC(x, *lengths, broadcastable=like.broadcastable)
    if like.type.is_static:
        result.mentions = (like,)
    return result


def _static_broadcast_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    (x,) = types
    lengths = params["shape"]
    given = (1,) * (len(lengths) - x.ndim) + x.static_shape
    if any(n not in (1, m) for n, m in zip(given, lengths, strict=True)):
        raise ShapeError(f"an array of shape {x.static_shape} doesn't fill {lengths}")
    return [static_type(x.dtype, lengths, params["broadcastable"])]


def _static_broadcast_view(params: Params, layout: Layout) -> Layout:
    lengths = params["shape"]
    left = len(lengths) - len(layout.shape)
    strides = (0,) * left + tuple(
        0 if n == 1 and m != 1 else s
        for n, s, m in zip(layout.shape, layout.strides, lengths[left:], strict=True)
    )
    return layout.rearranged(lengths, strides)


_STATIC_BROADCAST = register_op(
    Op(
        "static_broadcast",
        _static_broadcast_infer,
        lambda params, inputs, outputs: [np.broadcast_to(inputs[0], params["shape"])],
        view=_static_broadcast_view,
    )
)


def static_broadcast(
    x: Variable, lengths: tuple[int, ...], broadcastable: tuple[bool, ...] | None = None
) -> Variable:
    """`x` of known shape, broadcast to a shape of numbers; costs no memory."""
    if broadcastable is None:
        broadcastable = tuple(False for _ in lengths)
    if x.type.shape == lengths and x.broadcastable == broadcastable:
        return x
    return _STATIC_BROADCAST(x, shape=lengths, broadcastable=broadcastable)
