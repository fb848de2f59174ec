"""Products: of matrices, over any axes of arrays, and of two batches of matrices.

All become `gemm`, or `integer_gemm` where both operands are integers. A batch becomes one call per
matrix, each of which writes directly into its part of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.contracts.core.sizes import n_elements
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.errors import ArgumentError, AxisError, GraphTypeError, ShapeError
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.op import as_variable, constant, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import FLOATS, TensorType, upcast
from tinygrad_mnist.graph.values import axis_numbers, flag, integer, is_integer, several, shown
from tinygrad_mnist.graph.variables import Node, Op, Variable
from tinygrad_mnist.ops.elementwise import cast, mul, settle_constants, sum_to
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.kernels import GEMM, INTEGER_GEMM
from tinygrad_mnist.ops.reduce import mean
from tinygrad_mnist.ops.shape import (
    dimshuffle,
    flatten,
    length,
    reshape,
    static_broadcast,
    static_reshape,
)
from tinygrad_mnist.ops.slices import assemble, static_slice

# --- matrices -----------------------------------------------------------------------------------


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    a, b = types
    if None not in (a.shape[1], b.shape[0]) and a.shape[1] != b.shape[0]:
        raise ShapeError(f"the product of {a.shape} and {b.shape}: {a.shape[1]} != {b.shape[0]}")
    return [TensorType(a.dtype, (a.broadcastable[0], b.broadcastable[1]), (a.shape[0], b.shape[1]))]


def _reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    if outputs[0].dtype not in FLOATS:
        return CONTRACTS["integer_gemm"].reference({}, inputs, outputs)
    epilogue = Tape.identity(outputs[0].dtype)
    return CONTRACTS["gemm"].reference({"epilogue": epilogue}, inputs, outputs)


def _vjp(node: Node, g: Variable) -> list[Variable | None]:
    a, b = node.inputs
    return [sum_to(_DOT(g, b.T), a), sum_to(_DOT(a.T, g), b)]


def _gemm(a: Variable, b: Variable) -> Variable:
    if a.type.is_discrete:
        return INTEGER_GEMM(a, b)
    return GEMM(a, b, epilogue=Tape.identity(a.dtype), dtype=a.dtype)


# (m, k), (k, n) -> (m, n), both of the same dtype
_DOT = register_op(
    Op("dot", _infer, _reference, vjp=_vjp, lower=lambda node: [_gemm(*node.inputs)])
)


def _same_dtype(x: Any, y: Any) -> tuple[Variable, Variable]:
    """Two operands in the dtype that holds both."""
    a, b = settle_constants([as_variable(x), as_variable(y)])
    dtype = upcast(a.dtype, b.dtype)
    return cast(a, dtype), cast(b, dtype)


@api_function
def dot(a: Any, b: Any) -> Variable:
    """The product of `a` and `b` as `numpy.dot` has it: over the last axis of `a` and the last but
    one of `b` (or its only one); a 0-d operand multiplies.

    Products of integers are integers, and wrap around as NumPy's. Raises ShapeError where the two
    lengths differ.
    """
    a, b = settle_constants([as_variable(a), as_variable(b)])
    if a.ndim == 0 or b.ndim == 0:
        return mul(a, b)
    if a.ndim > 2 or b.ndim > 2:
        return tensordot(a, b, [[a.ndim - 1], [max(0, b.ndim - 2)]])
    a, b = _same_dtype(a, b)
    left = a if a.ndim == 2 else dimshuffle(a, "x", 0)
    right = b if b.ndim == 2 else dimshuffle(b, 0, "x")
    product = _DOT(left, right)
    return dimshuffle(product, *([0] if a.ndim == 2 else []), *([1] if b.ndim == 2 else []))


@api_function
def outer(x: Any, y: Any) -> Variable:
    """The matrix of all products of an element of `x` and one of `y`, both flattened."""
    a, b = (flatten(as_variable(v)) for v in (x, y))
    return mul(dimshuffle(a, 0, "x"), dimshuffle(b, "x", 0))


# --- over any axes ------------------------------------------------------------------------------


def _free(ndim: int, axes: Sequence[int]) -> tuple[int, ...]:
    """The axes that are not summed over."""
    return tuple(axis for axis in range(ndim) if axis not in axes)


def _tensordot_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    (a, b), (over_a, over_b) = types, params["axes"]
    for i, j in zip(over_a, over_b, strict=True):
        n, m = a.shape[i], b.shape[j]
        if None not in (n, m) and n != m:
            raise ShapeError(f"the product of {a.shape} over {over_a} and {b.shape} over {over_b}")
    left, right = _free(a.ndim, over_a), _free(b.ndim, over_b)
    return [
        TensorType(
            a.dtype,
            (*(a.broadcastable[i] for i in left), *(b.broadcastable[j] for j in right)),
            (*(a.shape[i] for i in left), *(b.shape[j] for j in right)),
        )
    ]


def _tensordot_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    a, b = inputs
    return [np.asarray(np.tensordot(a, b, axes=params["axes"]))]


def _tensordot_vjp(node: Node, g: Variable) -> list[Variable | None]:
    (a, b), (over_a, over_b) = node.inputs, node.params["axes"]
    left, right = _free(a.ndim, over_a), _free(b.ndim, over_b)
    of_left, of_right = tuple(range(len(left))), tuple(range(len(left), g.ndim))
    # The gradients have the axes in another order; order_a and order_b give the axis of a and of b
    # for each of theirs.
    back_a = _TENSORDOT(g, b, axes=(of_right, right))
    order_a = [*left, *(over_a[over_b.index(j)] for j in sorted(over_b))]
    back_b = _TENSORDOT(a, g, axes=(left, of_left))
    order_b = [*(over_b[over_a.index(i)] for i in sorted(over_a)), *right]
    return [
        sum_to(dimshuffle(back_a, *(order_a.index(i) for i in range(a.ndim))), a),
        sum_to(dimshuffle(back_b, *(order_b.index(j) for j in range(b.ndim))), b),
    ]


def _tensordot_lower(node: Node) -> list[Variable]:
    (a, b), (over_a, over_b) = node.inputs, node.params["axes"]
    left, right = _free(a.ndim, over_a), _free(b.ndim, over_b)
    rows, depth, columns = (
        n_elements(v.type.static_shape[i] for i in axes)
        for v, axes in ((a, left), (a, over_a), (b, right))
    )
    flat = (False, False)
    product = _gemm(
        static_reshape(dimshuffle(a, *left, *over_a), (rows, depth), flat),
        static_reshape(dimshuffle(b, *over_b, *right), (depth, columns), flat),
    )
    result = node.outputs[0].type
    return [static_reshape(product, result.static_shape, result.broadcastable)]


# two arrays of one dtype -> the axes of the first and then of the second that are not summed
# over; params axes, those of each that are
_TENSORDOT = register_op(
    Op(
        "tensordot",
        _tensordot_infer,
        _tensordot_reference,
        vjp=_tensordot_vjp,
        lower=_tensordot_lower,
    )
)


@api_function
def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """Products of `a` and `b` summed over some axes of both; the result has the others of `a` and
    then of `b`.

    axes: a number n, for the last n axes of `a` and the first n of `b`; or two lists, the axes of
    `a` and the matching ones of `b`. Raises GraphTypeError for axes that don't exist or
    don't match in number, ShapeError for lengths that differ.
    """
    a, b = _same_dtype(a, b)
    if is_integer(axes):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise AxisError(f"axes is {axes}; the operands are {a.type} and {b.type}")
        over: Sequence[Any] = [list(range(a.ndim - axes, a.ndim)), list(range(axes))]
    else:
        over = several(axes, "axes", "two axes, or two lists of axes")
    chosen = tuple(axis_numbers(each, v.ndim) for v, each in zip((a, b), over, strict=False))
    if len(over) != 2 or len(chosen[0]) != len(chosen[1]):
        raise ArgumentError(f"axes is {shown(axes)}; it is a number, or two lists equally long")
    return _TENSORDOT(a, b, axes=chosen)


# --- batches ------------------------------------------------------------------------------------


def _batched_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    a, b = types
    for i, j in ((0, 0), (2, 1)):
        if None not in (a.shape[i], b.shape[j]) and a.shape[i] != b.shape[j]:
            raise ShapeError(f"the products of a batch {a.shape} and a batch {b.shape}")
    return [
        TensorType(
            a.dtype,
            (a.broadcastable[0] and b.broadcastable[0], a.broadcastable[1], b.broadcastable[2]),
            (a.shape[0] if a.shape[0] is not None else b.shape[0], a.shape[1], b.shape[2]),
        )
    ]


def _batched_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [np.matmul(*inputs)]


def _batched_vjp(node: Node, g: Variable) -> list[Variable | None]:
    a, b = node.inputs
    of_a, of_b = _BATCHED(g, dimshuffle(b, 0, 2, 1)), _BATCHED(dimshuffle(a, 0, 2, 1), g)
    return [sum_to(of_a, a), sum_to(of_b, b)]


def _batched_lower(node: Node) -> list[Variable]:
    result = node.outputs[0].type
    shape = result.static_shape
    parts = []
    for i in range(shape[0]):
        a, b = (_matrix(v, i) for v in node.inputs)
        product = static_reshape(_gemm(a, b), (1, *shape[1:]), (False,) * 3)
        parts.append((product, StaticSlice.whole(shape).along(0, i, 1)))
    if not parts:
        return [static_broadcast(constant(0, result.dtype), shape, result.broadcastable)]
    return [assemble(None, parts, shape, result.broadcastable)]


def _matrix(batch: Variable, i: int) -> Variable:
    """Number i of a batch of matrices."""
    whole = StaticSlice.whole(batch.type.static_shape)
    region = whole.along(0, i, 1)._replace(kept=(1, 2))
    return static_slice(batch, region, batch.broadcastable[1:])


# (n, m, k), (n, k, p) -> (n, m, p), both of the same dtype
_BATCHED = register_op(
    Op(
        "batched_dot",
        _batched_infer,
        _batched_reference,
        vjp=_batched_vjp,
        lower=_batched_lower,
    )
)


@api_function
def batched_dot(a: Any, b: Any) -> Variable:
    """`dot(x[i], y[i])` for every i: of two batches of matrices (n, m, k) and (n, k, p), or vectors
    (n, k), or of any number for each i.

    Raises GraphTypeError for fewer than 1 or more than 3 axes, ShapeError where lengths differ.
    """
    a, b = _same_dtype(a, b)
    if not (1 <= a.ndim <= 3 and 1 <= b.ndim <= 3):
        raise GraphTypeError(f"batched_dot takes 1 to 3 axes, not {a.type} and {b.type}")
    if a.ndim == 1 or b.ndim == 1:
        ndim = max(a.ndim, b.ndim)
        left, right = (dimshuffle(v, *range(v.ndim), *("x",) * (ndim - v.ndim)) for v in (a, b))
        return mul(left, right)
    left = a if a.ndim == 3 else dimshuffle(a, 0, "x", 1)
    right = b if b.ndim == 3 else dimshuffle(b, 0, 1, "x")
    product = _BATCHED(left, right)
    return dimshuffle(product, 0, *([1] if a.ndim == 3 else []), *([2] if b.ndim == 3 else []))


def batched_tensordot(x: Any, y: Any, axes: Any = 2) -> Variable:
    """`tensordot` of `x[i]` and `y[i]` for every i.

    axes: a number n, for the last n axes of `x` and the first n of `y` behind axis 0; or two lists,
    the axes of `x` and the matching ones of `y`, without axis 0. Errors are those of `tensordot`.
    """
    a, b = _same_dtype(x, y)
    if is_integer(axes):
        if not 0 <= axes < min(a.ndim, b.ndim):
            raise AxisError(f"axes is {axes}; the operands are {a.type} and {b.type}")
        over: Sequence[Any] = [list(range(a.ndim - axes, a.ndim)), list(range(1, axes + 1))]
    else:
        over = several(axes, "axes", "two axes, or two lists of axes")
    chosen = tuple(axis_numbers(each, v.ndim) for v, each in zip((a, b), over, strict=False))
    if len(over) != 2 or len(chosen[0]) != len(chosen[1]) or any(0 in each for each in chosen):
        raise ArgumentError(f"axes is {shown(axes)}; it is a number, or two lists without axis 0")
    left, right = (_free(v.ndim, (0, *each)) for v, each in zip((a, b), chosen, strict=True))
    product = batched_dot(
        _batch(a, left, chosen[0]), dimshuffle(_batch(b, right, chosen[1]), 0, 2, 1)
    )
    lengths = [*(length(a, i) for i in left), *(length(b, j) for j in right)]
    return reshape(product, [length(product, 0), *lengths])


def _batch(x: Variable, kept: Sequence[int], summed: Sequence[int]) -> Variable:
    """`x` as matrices whose rows are the axes `kept` and whose columns are the axes `summed`."""
    rows, columns = (
        reduce(mul, (length(x, i) for i in axes), as_variable(1)) for axes in (kept, summed)
    )
    return reshape(dimshuffle(x, 0, *kept, *summed), [length(x, 0), rows, columns])


# --- covariances --------------------------------------------------------------------------------


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: None = None,
    aweights: None = None,
) -> Variable:
    """The covariances of the rows of the matrix `m`, and of those of `y`.

    rowvar: whether a row is a quantity and a column an observation, not the other way round. Sums
    are divided by the number of observations less `ddof`, which is 0 if `bias` and else 1. There
    are no `fweights` and `aweights`.
    """
    if fweights is not None or aweights is not None:
        raise ArgumentError("cov has no fweights and no aweights")
    parts = [as_variable(v) for v in (m, y) if v is not None]
    if any(v.ndim != 2 for v in parts):
        raise GraphTypeError(f"cov takes matrices, not {', '.join(str(v.type) for v in parts)}")
    rows = concatenate([v if flag(rowvar, "rowvar") else v.T for v in parts])
    centred = rows - mean(rows, axis=1, keepdims=True)
    less = int(not flag(bias, "bias")) if ddof is None else integer(ddof, "ddof")
    return dot(centred, centred.T) / cast(length(rows, 1) - less, centred.dtype)
