"""TensorFlow's functions of arrays: dtypes, shapes, arithmetic and reductions.

Each takes NumPy arrays, numbers and lists, and gives a `Tensor`; or symbolic variables, and gives
one; or an element within `Dataset.map`. dtypes are promoted as NumPy promotes arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError, ShapeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.tensors import DTYPES, Tensor, dtype_of, tensor
from tinygrad_mnist.keras.tensors import divide as _divide
from tinygrad_mnist.tf.operation import like, operation
from tinygrad_mnist.tf.stack import Stack, has_stack

_FLOAT32, _INT64 = DTYPES["float32"], DTYPES["int64"]


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """A tensor of an array, number, text or list: Python's floats are float32, integers int32.

    shape: of the result; a single value fills it.
    """
    if shape is None:
        return convert_to_tensor(value, dtype)
    made = tensor(value, dtype)
    return tensor(np.full(shape, made)) if made.size == 1 else reshape(made, shape)


def convert_to_tensor(value: Any, dtype: Any = None, name: str | None = None) -> Any:
    """The same; variables and elements stay as they are."""
    if has_stack(value) or isinstance(value, Variable):
        if type(value) in (list, tuple):
            return stack(value)
        return value if dtype is None else cast(value, dtype)
    return tensor(value, dtype)


def _cast_stack(x: Stack, dtype: Any) -> Any:
    return x.astype(dtype_of(dtype))


@operation(lambda x, dtype: T.cast(x, dtype_of(dtype).name), _cast_stack)
def cast(x: Any, dtype: Any) -> Any:
    """x with another dtype."""
    return tensor(x).astype(dtype_of(dtype))


def _lengths(shape: Any, size: int) -> tuple[int, ...]:
    """The lengths of a reshape; -1 is what remains. ShapeError where they don't fit."""
    lengths = tuple(int(n) for n in np.asarray(shape, int).ravel())
    known = math.prod(n for n in lengths if n != -1)
    if lengths.count(-1) == 1 and known and size % known == 0:
        return tuple(size // known if n == -1 else n for n in lengths)
    if -1 in lengths or known != size:
        raise ShapeError(f"{size} values can't be reshaped to {list(lengths)}")
    return lengths


def _reshape_stack(tensor: Stack, shape: Any) -> Stack:
    rows = tensor.rows
    return Stack(rows.reshape(len(rows), *_lengths(shape, tensor.size)))


def _reshape_variable(tensor: Variable, shape: Any) -> Variable:
    return T.reshape(tensor, tuple(shape) if isinstance(shape, list) else shape)


@operation(_reshape_variable, _reshape_stack)
def reshape(tensor: Any, shape: Any) -> Any:
    """The values in C order in another shape; [] is a scalar."""
    x = constant(tensor)
    return x.reshape(_lengths(shape, x.size))


def _hot(x: Any, depth: Any, on: Any, off: Any, axis: int, dtype: Any) -> Any:
    """one_hot of an array; `axis` counts from the end, so it can be one of many elements."""
    if x.dtype.kind not in "iu":
        raise ArgumentError(f"indices have dtype {x.dtype}; one_hot needs integers")
    if dtype is None:
        given = [v for v in (on, off) if v is not None]
        dtype = tensor(given[0]).dtype if given else np.float32
    kind = dtype_of(dtype).type
    classes = np.arange(int(depth)).reshape(-1, *[1] * (-1 - axis))
    found = np.expand_dims(np.asarray(x), axis) == classes
    return np.where(found, kind(1 if on is None else on), kind(0 if off is None else off))


def _hot_stack(
    indices: Stack,
    depth: Any,
    on_value: Any = None,
    off_value: Any = None,
    axis: int = -1,
    dtype: Any = None,
) -> Stack:
    axis = axis if axis < 0 else axis - indices.ndim - 1
    return Stack(_hot(indices.rows, depth, on_value, off_value, axis, dtype))


def _hot_variable(indices: Variable, depth: int) -> Variable:
    return T.cast(T.extra_ops.to_one_hot(indices, depth), "float32")


@operation(_hot_variable, _hot_stack)
def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int = -1,
    dtype: Any = None,
) -> Any:
    """`on_value` (1) at the index, `off_value` (0) elsewhere, along a new axis of that length.

    An index outside 0..depth-1 has `off_value` alone, as in TensorFlow. Without dtype it is that of
    the values, or float32.
    """
    x = tensor(indices)
    axis = axis if axis < 0 else axis - x.ndim - 1
    return _hot(x, depth, on_value, off_value, axis, dtype)


def _elementwise(name: str, symbolic: Any, function: Any, *, exact: bool) -> Callable[..., Any]:
    """A function of one or two operands that are broadcast."""

    def plain(x: Any, y: Any = None) -> Any:
        if y is None:
            return function(tensor(x))
        return function(like(x, y), like(y, x))

    plain.__name__ = plain.__qualname__ = name
    plain.__doc__ = f"TensorFlow's `{name}`, elementwise."
    return operation(symbolic, exact=function if exact else None)(plain)


add = _elementwise("add", T.add, np.add, exact=True)
subtract = _elementwise("subtract", T.sub, np.subtract, exact=True)
multiply = _elementwise("multiply", T.mul, np.multiply, exact=True)
divide = _elementwise("divide", T.true_div, _divide, exact=True)
floordiv = _elementwise("floordiv", T.int_div, np.floor_divide, exact=True)
mod = _elementwise("mod", T.mod, np.remainder, exact=True)
pow = _elementwise("pow", T.pow, np.power, exact=False)
maximum = _elementwise("maximum", T.maximum, np.maximum, exact=False)
minimum = _elementwise("minimum", T.minimum, np.minimum, exact=False)
equal = _elementwise("equal", T.eq, np.equal, exact=True)
not_equal = _elementwise("not_equal", T.neq, np.not_equal, exact=True)
less = _elementwise("less", T.lt, np.less, exact=True)
less_equal = _elementwise("less_equal", T.le, np.less_equal, exact=True)
greater = _elementwise("greater", T.gt, np.greater, exact=True)
greater_equal = _elementwise("greater_equal", T.ge, np.greater_equal, exact=True)
logical_and = _elementwise("logical_and", T.and_, np.logical_and, exact=True)
logical_or = _elementwise("logical_or", T.or_, np.logical_or, exact=True)
logical_not = _elementwise("logical_not", T.invert, np.logical_not, exact=True)
negative = _elementwise("negative", T.neg, np.negative, exact=True)
abs = _elementwise("abs", T.abs, np.absolute, exact=True)
sign = _elementwise("sign", T.sgn, np.sign, exact=False)
square = _elementwise("square", T.sqr, np.square, exact=True)
sqrt = _elementwise("sqrt", T.sqrt, np.sqrt, exact=True)
floor = _elementwise("floor", T.floor, np.floor, exact=True)
ceil = _elementwise("ceil", T.ceil, np.ceil, exact=True)
round = _elementwise("round", T.round_half_to_even, np.rint, exact=True)
exp = _elementwise("exp", T.exp, np.exp, exact=False)
log = _elementwise("log", T.log, np.log, exact=False)
sin = _elementwise("sin", T.sin, np.sin, exact=False)
cos = _elementwise("cos", T.cos, np.cos, exact=False)


def _axes(axis: Any) -> Any:
    return tuple(int(a) for a in axis) if isinstance(axis, list | tuple | np.ndarray) else axis


def _reduction(name: str, symbolic: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction over an axis, several, or all."""

    def plain(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return function(tensor(input_tensor), axis=_axes(axis), keepdims=keepdims)

    def variable(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return symbolic(input_tensor, axis=_axes(axis), keepdims=keepdims)

    plain.__name__ = plain.__qualname__ = name
    plain.__doc__ = f"TensorFlow's `{name}`; the dtype stays that of the input, but for arg…."
    return operation(variable)(plain)


def _sum(x: Tensor, **options: Any) -> Any:
    return np.sum(x, dtype=x.dtype, **options)


def _prod(x: Tensor, **options: Any) -> Any:
    return np.prod(x, dtype=x.dtype, **options)


def _mean(x: Tensor, **options: Any) -> Any:
    """Of integers it is an integer, rounded towards 0, as in TensorFlow."""
    mean = np.mean(x, **options)
    return mean if x.dtype.kind in "fc" else np.trunc(mean).astype(x.dtype)


reduce_sum = _reduction("reduce_sum", T.sum, _sum)
reduce_prod = _reduction("reduce_prod", T.prod, _prod)
reduce_mean = _reduction("reduce_mean", T.mean, _mean)
reduce_max = _reduction("reduce_max", T.max, np.max)
reduce_min = _reduction("reduce_min", T.min, np.min)
reduce_all = _reduction("reduce_all", T.all, np.all)
reduce_any = _reduction("reduce_any", T.any, np.any)
reduce_std = _reduction("reduce_std", T.std, np.std)
reduce_variance = _reduction("reduce_variance", T.var, np.var)


def _arg(function: Any, x: Any, axis: Any, output_type: Any) -> Any:
    return function(tensor(x), axis=0 if axis is None else axis).astype(dtype_of(output_type))


@operation(lambda x, axis=0, output_type="int64": T.cast(T.argmax(x, axis=axis), str(output_type)))
def argmax(input: Any, axis: Any = None, output_type: Any = _INT64) -> Any:
    """The first index of the largest value along an axis (0)."""
    return _arg(np.argmax, input, axis, output_type)


@operation(lambda x, axis=0, output_type="int64": T.cast(T.argmin(x, axis=axis), str(output_type)))
def argmin(input: Any, axis: Any = None, output_type: Any = _INT64) -> Any:
    """The first index of the smallest value along an axis (0)."""
    return _arg(np.argmin, input, axis, output_type)


def _expand_stack(input: Stack, axis: int) -> Stack:
    return Stack(np.expand_dims(input.rows, axis + 1 if axis >= 0 else axis))


@operation(lambda x, axis: T.shape_padaxis(x, axis), _expand_stack)
def expand_dims(input: Any, axis: int) -> Any:
    """A new axis of length 1."""
    return np.expand_dims(tensor(input), axis)


@operation(lambda x: T.squeeze(x))
def squeeze(input: Any, axis: Any = None) -> Any:
    """Without the axes of length 1, or the given ones."""
    return np.squeeze(tensor(input), axis=_axes(axis))


@operation(lambda x, perm=None: T.transpose(x, perm))
def transpose(a: Any, perm: Any = None) -> Any:
    """The axes in the order `perm`, or reversed."""
    return np.transpose(tensor(a), perm)


@operation(lambda values, axis: T.concatenate(list(values), axis=axis))
def concat(values: Sequence[Any], axis: int) -> Any:
    """Arrays one behind the other along an axis."""
    return np.concatenate([tensor(v) for v in values], axis=axis)


@operation(lambda values, axis=0: T.stack(list(values), axis=axis))
def stack(values: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape along a new axis."""
    return np.stack([tensor(v) for v in values], axis=axis)


@operation(lambda x, multiples: T.tile(x, multiples))
def tile(input: Any, multiples: Any) -> Any:
    """The array repeated along each axis."""
    return np.tile(tensor(input), multiples)


@operation(lambda x, indices, axis=0: T.take(x, indices, axis=axis))
def gather(params: Any, indices: Any, axis: int = 0) -> Any:
    """The slices of an axis with these indices."""
    x, wanted = tensor(params), tensor(indices)
    if wanted.size and not (wanted.min() >= 0 and wanted.max() < x.shape[axis]):
        raise ArgumentError(f"indices {shown(indices)} are not all in 0..{x.shape[axis] - 1}")
    return np.take(x, wanted, axis=axis)


@operation(lambda condition, x, y: T.switch(condition, x, y))
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """x where the condition holds, else y; without them the indices where it holds."""
    if x is None or y is None:
        return np.argwhere(tensor(condition))
    return np.where(tensor(condition), like(x, y), like(y, x))


@operation(lambda t, low, high: T.clip(t, low, high))
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    """The values, at least the one and at most the other."""
    x = tensor(t)
    return np.minimum(np.maximum(x, like(clip_value_min, x)), like(clip_value_max, x))


@operation(lambda a, b: T.dot(a, b))
def matmul(a: Any, b: Any) -> Any:
    """The product of matrices, or of stacks of them."""
    return np.matmul(tensor(a), tensor(b))


@operation(T.zeros_like)
def zeros_like(input: Any, dtype: Any = None) -> Any:
    """Zeros in the shape and dtype of an array."""
    return np.zeros_like(tensor(input), dtype=dtype and dtype_of(dtype))


@operation(T.ones_like)
def ones_like(input: Any, dtype: Any = None) -> Any:
    """Ones in the shape and dtype of an array."""
    return np.ones_like(tensor(input), dtype=dtype and dtype_of(dtype))


@operation(lambda x: x)
def identity(input: Any) -> Any:
    """The same."""
    return input


@operation(lambda x: x.shape)
def shape(input: Any) -> Any:
    """The lengths of the axes, int32."""
    return np.array(tensor(input).shape, np.int32)


@operation()
def zeros(shape: Any, dtype: Any = _FLOAT32) -> Any:
    """Zeros of that shape."""
    return np.zeros(_axes(shape), dtype_of(dtype))


@operation()
def ones(shape: Any, dtype: Any = _FLOAT32) -> Any:
    """Ones of that shape."""
    return np.ones(_axes(shape), dtype_of(dtype))


@operation()
def fill(dims: Any, value: Any) -> Any:
    """An array of that shape with one value."""
    return np.full(_axes(dims), tensor(value))


@operation()
def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Any:
    """Numbers from `start` (0) to below `limit`."""
    first, last = (0, start) if limit is None else (start, limit)
    kind = tensor([first, last, delta]).dtype if dtype is None else dtype_of(dtype)
    return np.arange(first, last, delta).astype(kind)


__all__ = [
    "abs",
    "add",
    "argmax",
    "argmin",
    "cast",
    "ceil",
    "clip_by_value",
    "concat",
    "constant",
    "convert_to_tensor",
    "cos",
    "divide",
    "equal",
    "exp",
    "expand_dims",
    "fill",
    "floor",
    "floordiv",
    "gather",
    "greater",
    "greater_equal",
    "identity",
    "less",
    "less_equal",
    "log",
    "logical_and",
    "logical_not",
    "logical_or",
    "matmul",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "pow",
    "range",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_std",
    "reduce_sum",
    "reduce_variance",
    "reshape",
    "round",
    "shape",
    "sign",
    "sin",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "subtract",
    "tile",
    "transpose",
    "where",
    "zeros",
    "zeros_like",
]
