"""Reductions over axes: sum, prod, max, min, mean, argmax.

The ops themselves keep the reduced axes with length 1, which makes their gradients broadcast; the
words drop them afterwards unless `keepdims` is true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.base import Array, ArraySpec, Params
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.op import Op, as_variable, register_op
from tinygrad_mnist.graph.operators import word
from tinygrad_mnist.graph.types import FLOATS, TensorType, compute_dtype
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops import kernels
from tinygrad_mnist.ops.elementwise import cast, eq, switch
from tinygrad_mnist.ops.shape import broadcast_like, dimshuffle, flatten, shape

Axis = int | Sequence[int] | None


def normalise_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Axes as sorted numbers from 0; None is all of them.

    Raises GraphTypeError for an axis that is no integer, out of range or named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    given = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    axes = []
    for a in given:
        if not isinstance(a, int | np.integer) or isinstance(a, bool):
            raise GraphTypeError(f"axis {a!r} is not an integer")
        if not -ndim <= a < ndim:
            raise GraphTypeError(f"axis {a} is out of range for {ndim} dimensions")
        axes.append(int(a) % ndim)
    if len(set(axes)) != len(axes):
        raise GraphTypeError(f"an axis is named twice in {given}")
    return tuple(sorted(axes))


def _reduced_type(params: Params, x: TensorType, dtype: str) -> TensorType:
    axes = params["axes"]
    broadcastable = tuple(b or i in axes for i, b in enumerate(x.broadcastable))
    lengths = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return TensorType(dtype, broadcastable, lengths)


def _define(
    name: str,
    dtype_of: Callable[[str], str],
    vjp: Callable[[Variable, Variable, Variable], Variable],
) -> Op:
    def infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
        (x,) = types
        if name in ("max", "min") and any(x.shape[a] == 0 for a in params["axes"]):
            raise ShapeError(f"the {name} of no elements: shape {x.shape}, axes {params['axes']}")
        return [_reduced_type(params, x, dtype_of(x.dtype))]

    def reference(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        function = getattr(np, name)
        result = function(inputs[0].astype(outputs[0].dtype), axis=params["axes"], keepdims=True)
        return [np.asarray(result, outputs[0].dtype)]

    def pull(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
        (x,), z, g = node.inputs, node.outputs[0], cotangents[0]
        assert g is not None
        return [None if x.type.is_discrete else cast(vjp(g, z, x), x.dtype)]

    def lower(node: Node) -> list[Variable]:
        x, z = node.inputs[0], node.outputs[0]
        return [kernels.plain_reduce(name, x, node.params["axes"], z.dtype)]

    return register_op(Op(name, infer, reference, vjp=pull, lower=lower))


_SUM = _define("sum", compute_dtype, lambda g, z, x: broadcast_like(g, x))


def _prod_vjp(g: Variable, z: Variable, x: Variable) -> Variable:
    """g times the product of the other elements, which a zero among these makes zero."""
    axes = tuple(i for i, reduced in enumerate(z.broadcastable) if reduced)
    zero = eq(x, 0)
    zeros = _SUM(zero, axes=axes)
    nonzero = switch(zero, 1, x)
    product = _PROD(nonzero, axes=axes)
    others = switch(eq(zeros, 0), product / nonzero, 0)
    return g * switch(zero, switch(eq(zeros, 1), product, 0), others)


_PROD = _define("prod", compute_dtype, _prod_vjp)
_MAX = _define("max", lambda dtype: dtype, lambda g, z, x: switch(eq(x, z), g, 0))
_MIN = _define("min", lambda dtype: dtype, lambda g, z, x: switch(eq(x, z), g, 0))


def _argmax_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    (x,) = types
    if x.shape[params["axis"]] == 0:
        raise ShapeError(f"the argmax of no elements: shape {x.shape}, axis {params['axis']}")
    return [_reduced_type({"axes": (params["axis"],)}, x, "int64")]


def _argmax_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [np.expand_dims(np.argmax(inputs[0], params["axis"]), params["axis"])]


_ARGMAX = register_op(Op("argmax", _argmax_infer, _argmax_reference, contract="argmax"))


def _drop(kept: Variable, axes: tuple[int, ...], keepdims: bool) -> Variable:
    """Removes the reduced axes, unless they are to be kept."""
    if keepdims:
        return kept
    return dimshuffle(kept, *(i for i in range(kept.ndim) if i not in axes))


def _reduce(op: Op, x: Any, axis: Axis, keepdims: bool) -> Variable:
    variable = as_variable(x)
    axes = normalise_axes(axis, variable.ndim)
    return _drop(op(variable, axes=axes), axes, keepdims)


@word
def sum_(x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
    """The sum over `axis` (None: all); integers and bool add up in int64, or in `dtype`."""
    return _reduce(_SUM, x if dtype is None else cast(x, dtype), axis, keepdims)


@word
def prod(x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
    """The product over `axis` (None: all); integers and bool multiply in int64, or in `dtype`."""
    return _reduce(_PROD, x if dtype is None else cast(x, dtype), axis, keepdims)


@word
def max_(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The maximum over `axis` (None: all); its gradient goes whole to every element equal to it."""
    return _reduce(_MAX, x, axis, keepdims)


@word
def min_(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The minimum over `axis` (None: all); its gradient goes whole to every element equal to it."""
    return _reduce(_MIN, x, axis, keepdims)


@word
def mean(x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
    """The mean over `axis` (None: all); of integers and bool it is float64, or `dtype`."""
    variable = as_variable(x)
    if dtype is not None:
        variable = cast(variable, dtype)
    elif variable.dtype not in FLOATS:
        variable = cast(variable, "float64")
    axes = normalise_axes(axis, variable.ndim)
    total = _SUM(variable, axes=axes)
    lengths = shape(variable)
    count: Variable = as_variable(1)
    for a in axes:
        count = count * lengths[a]
    return _drop(total, axes, keepdims) / cast(count, variable.dtype)


@word
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Variable:
    """Where the maximum along `axis` is (None: in the flattened array), int64; the first of equal
    ones."""
    variable = as_variable(x)
    if axis is None:
        flat = _ARGMAX(flatten(variable), axis=0)
        kept = dimshuffle(flat, *("x",) * (variable.ndim - 1), 0) if variable.ndim else flat
        return _drop(kept, tuple(range(kept.ndim)), keepdims)
    (axis,) = normalise_axes(axis, variable.ndim)
    return _drop(_ARGMAX(variable, axis=axis), (axis,), keepdims)
