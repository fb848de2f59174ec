"""Theano's `tensor.nnet.abstract_conv`: convolution in two dimensions and its gradients."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable, constant
from tinygrad_mnist.graph.types import FLOATS, upcast
from tinygrad_mnist.graph.values import flag, is_integer, several, shown
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.conv import CONV2D, GRAD_FILTER_OF, GRAD_INPUT_OF, Border, Pair
from tinygrad_mnist.ops.elementwise import cast
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.shape import alloc, as_integer_scalar, integer_pair, length

Zeros = tuple[Pair, Pair]  # (above, below), (left, right)
_NO_ZEROS: Zeros = ((0, 0), (0, 0))


def _declared_shape(shape: Any, what: str) -> tuple[int | None, ...] | None:
    if shape is None:
        return None
    given = several(shape, what, "four lengths")
    lengths = tuple(n.value.item() if isinstance(n, Constant) else n for n in given)
    if len(lengths) != 4:
        raise ArgumentError(f"{what} is {shown(shape)}; it has four numbers")
    for n in lengths:
        if n is not None and not (is_integer(n) and n >= 0):
            raise ArgumentError(f"{what} is {shown(shape)}; {n!r} is neither None nor an int >= 0")
    return tuple(None if n is None else int(n) for n in lengths)


def _border(border_mode: Any) -> tuple[Border, Zeros]:
    """The padding for the kernels, and zeros to add around the images first."""
    if isinstance(border_mode, str):
        if border_mode not in ("valid", "full", "half"):
            hint = "; 'half' keeps the size of images, with filters of odd sizes"
            raise ArgumentError(
                f"border_mode is {border_mode!r}; it can be 'valid', 'full', 'half', an int, "
                f"a pair of ints or a pair of pairs{hint if border_mode.lower() == 'same' else ''}"
            )
        return border_mode, _NO_ZEROS
    pairs = isinstance(border_mode, list | tuple) and len(border_mode) == 2
    if not pairs or not any(isinstance(n, list | tuple) for n in border_mode):
        return integer_pair(border_mode, "border_mode", 0), _NO_ZEROS
    rows, columns = (integer_pair(pair, "a pair of border_mode", 0) for pair in border_mode)
    if rows[0] == rows[1] and columns[0] == columns[1]:
        return (rows[0], columns[0]), _NO_ZEROS
    return (0, 0), (rows, columns)


def _with_zeros(x: Variable, zeros: Zeros) -> Variable:
    """Images with rows and columns of zeros added around them."""
    for axis, counts in zip((2, 3), zeros, strict=True):
        parts: list[Variable] = [x]
        for n, at in zip(counts, (0, 2), strict=True):
            if n:
                lengths = [n if i == axis else length(x, i) for i in range(4)]
                parts.insert(at, alloc(constant(0, x.dtype), *lengths))
        x = concatenate(parts, axis) if len(parts) > 1 else x
    return x


def _floats(**operands: Any) -> list[Variable]:
    """Variables of one float dtype, all of four dimensions."""
    variables = {name: as_variable(v) for name, v in operands.items()}
    for name, v in variables.items():
        if v.ndim != 4:
            raise GraphTypeError(f"{name} has to have four dimensions; it is {v.type}")
    dtype = upcast(*(v.dtype for v in variables.values()))
    dtype = dtype if dtype in FLOATS else config.floatX
    return [cast(v, dtype) for v in variables.values()]


def _params(
    border: Border, subsample: Any, filter_flip: bool, filter_dilation: Any, dtype: str
) -> dict[str, Any]:
    if integer_pair(filter_dilation, "filter_dilation", 1) != (1, 1):
        raise ArgumentError(f"filter_dilation is {filter_dilation!r}; only (1, 1) is supported")
    return {
        "stride": integer_pair(subsample, "subsample", 1),
        "padding": border,
        "flip": int(flag(filter_flip, "filter_flip")),
        "epilogue": Tape.identity(dtype),
    }


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: tuple[int, int] = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
    filter_dilation: tuple[int, int] = (1, 1),
) -> Variable:
    """Convolves images (batch, channels, height, width) with filters (filters, channels, h, w).

    input_shape (older name: image_shape) and filter_shape: the shapes, with None for unknown
    lengths, checked when the function runs. border_mode: zeros around the images: 'valid' (none),
    'full' (h - 1, w - 1), 'half' (h // 2, w // 2), an int, a pair (rows, columns), or a pair of
    pairs ((above, below), (left, right)). subsample: the strides. filter_flip: flip the filters in
    both axes, as convolution proper does. filter_dilation: only (1, 1).

    Returns (batch, filters, height, width) in the inputs' dtype. Raises GraphTypeError for
    operands without four dimensions, ShapeError where shapes don't fit.
    """
    x, w = _floats(input=input, filters=filters)
    if image_shape is not None and input_shape is not None:
        raise GraphTypeError("conv2d got input_shape and image_shape, two names of one argument")
    declared = (
        _declared_shape(image_shape if input_shape is None else input_shape, "input_shape"),
        _declared_shape(filter_shape, "filter_shape"),
    )
    border, zeros = _border(border_mode)
    params = _params(border, subsample, filter_flip, filter_dilation, x.dtype)
    return CONV2D(
        _with_zeros(x, zeros), w, **params, declared=(*declared, (sum(zeros[0]), sum(zeros[1])))
    )


def _lengths(shape: Any, known: tuple[Variable | None, ...], what: str) -> list[Variable]:
    """The four lengths of a shape: ints, integer scalars, or None where they are `known`."""
    if not isinstance(shape, list | tuple) or len(shape) != 4:
        raise GraphTypeError(f"{what} is {shape}; it has four lengths")
    lengths = []
    for given, otherwise in zip(shape, known, strict=True):
        if given is None and otherwise is None:
            raise GraphTypeError(f"{what} is {shape}; None can't be found from the other operands")
        wanted = otherwise if given is None else given
        lengths.append(as_integer_scalar(wanted, f"a length in {what}"))
    return lengths


def _empty(lengths: list[Variable], dtype: str) -> Variable:
    """Zeros of a shape, needed only for the shape; they take no memory."""
    return alloc(constant(0, dtype), *lengths)


def conv2d_grad_wrt_inputs(
    output_grad: Any,
    filters: Any,
    input_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: tuple[int, int] = (1, 1),
    filter_flip: bool = True,
    filter_dilation: tuple[int, int] = (1, 1),
) -> Variable:
    """The gradient of `conv2d` with respect to its images: a transposed convolution.

    output_grad: (batch, filters, height, width), of the convolution's result. input_shape: of the
    images, ints or integer scalars; batch and channels may be None. The other arguments are those
    of `conv2d`. Returns an array of input_shape. Raises GraphTypeError, ShapeError.
    """
    g, w = _floats(output_grad=output_grad, filters=filters)
    lengths = _lengths(input_shape, (length(g, 0), length(w, 1), None, None), "input_shape")
    border, zeros = _border(border_mode)
    params = _params(border, subsample, filter_flip, filter_dilation, g.dtype)
    outer = [n + sum(zeros[i - 2]) if i > 1 else n for i, n in enumerate(lengths)]
    declared = (None, _declared_shape(filter_shape, "filter_shape"), (0, 0))
    dx = GRAD_INPUT_OF(w, g, _empty(outer, g.dtype), **params, declared=declared)
    if zeros == _NO_ZEROS:
        return dx
    (top, _), (left, _) = zeros
    return dx[:, :, top : top + lengths[2], left : left + lengths[3]]


def conv2d_grad_wrt_weights(
    input: Any,
    output_grad: Any,
    filter_shape: Any,
    input_shape: Any = None,
    border_mode: Any = "valid",
    subsample: tuple[int, int] = (1, 1),
    filter_flip: bool = True,
    filter_dilation: tuple[int, int] = (1, 1),
) -> Variable:
    """The gradient of `conv2d` with respect to its filters.

    output_grad: (batch, filters, height, width), of the convolution's result. filter_shape: of the
    filters, ints or integer scalars; filters and channels may be None. The other arguments are
    those of `conv2d`. Returns an array of filter_shape. Raises GraphTypeError, ShapeError.
    """
    x, g = _floats(input=input, output_grad=output_grad)
    lengths = _lengths(filter_shape, (length(g, 1), length(x, 1), None, None), "filter_shape")
    border, zeros = _border(border_mode)
    params = _params(border, subsample, filter_flip, filter_dilation, g.dtype)
    around = (sum(zeros[0]), sum(zeros[1]))
    declared = (_declared_shape(input_shape, "input_shape"), None, around)
    like = _empty(lengths, g.dtype)
    return GRAD_FILTER_OF(_with_zeros(x, zeros), g, like, **params, declared=declared)


__all__ = ["conv2d", "conv2d_grad_wrt_inputs", "conv2d_grad_wrt_weights"]
