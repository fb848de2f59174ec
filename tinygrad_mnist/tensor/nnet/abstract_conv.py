"""Theano's `tensor.nnet.abstract_conv`: convolution in two dimensions and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable, constant
from tinygrad_mnist.graph.types import FLOATS, upcast
from tinygrad_mnist.graph.values import flag, integer, is_integer, several, shown
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.conv import GRAD_FILTER_OF, GRAD_INPUT_OF, Border, Pair, convolve
from tinygrad_mnist.ops.elementwise import cast
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.shape import (
    alloc,
    as_integer_scalar,
    dimshuffle,
    integer_pair,
    length,
    reshape,
    shape_scalars,
)

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


def _of_size(size: Any) -> tuple[Any, ...]:
    """The four lengths of an array with a height and a width; None for the first two."""
    lengths = shape_scalars(size, 2)
    if len(lengths) != 2:
        raise GraphTypeError(f"shape is {shown(size)}; it is a height and a width")
    return (None, None, *lengths)


def _empty(lengths: list[Variable], dtype: str) -> Variable:
    """Zeros of a shape, needed only for the shape; they take no memory."""
    return alloc(constant(0, dtype), *lengths)


# --- Theano's ops as classes ----------------------------------------------------------------------


class _Convolution:
    """The arguments of `conv2d`, checked, to be applied to variables. imshp, kshp: the shapes of
    images and filters, with None for unknown lengths."""

    def __init__(
        self,
        imshp: Any = None,
        kshp: Any = None,
        border_mode: Any = "valid",
        subsample: Any = (1, 1),
        filter_flip: bool = True,
        filter_dilation: Any = (1, 1),
        num_groups: int = 1,
        unshared: bool = False,
    ) -> None:
        self.imshp = _declared_shape(imshp, "imshp")
        self.kshp = _declared_shape(kshp, "kshp")
        border, self._zeros = _border(border_mode)
        self._around = (sum(self._zeros[0]), sum(self._zeros[1]))
        self._how: dict[str, Any] = {
            "stride": integer_pair(subsample, "subsample", 1),
            "padding": border,
            "flip": int(flag(filter_flip, "filter_flip")),
        }
        dilation = integer_pair(filter_dilation, "filter_dilation", 1)
        self._groups = integer(num_groups, "num_groups", 1)
        if dilation != (1, 1) or self._groups > 1:
            self._how.update(dilation=dilation, groups=self._groups)
        if flag(unshared, "unshared"):
            raise ArgumentError("unshared is True; filters are the same at all positions here")

    def _params(self, dtype: str) -> dict[str, Any]:
        declared = (self.imshp, self.kshp, self._around)
        return {**self._how, "epilogue": Tape.identity(dtype), "declared": declared}


class AbstractConv2d(_Convolution):
    """`AbstractConv2d(imshp, kshp, ...)(img, kern)` is `conv2d(img, kern, imshp, kshp, ...)`."""

    def __call__(self, img: Any, kern: Any) -> Variable:
        x, w = _floats(input=img, filters=kern)
        return convolve(_with_zeros(x, self._zeros), w, self._params(x.dtype))


class AbstractConv2d_gradWeights(_Convolution):  # noqa: N801
    """`AbstractConv2d_gradWeights(imshp, kshp, ...)(img, topgrad, shape)` is the gradient of
    `conv2d` with respect to filters whose height and width are `shape`."""

    def __call__(
        self, img: Any, topgrad: Any, shape: Any, add_assert_shape: bool = True
    ) -> Variable:
        return self.gradient(img, topgrad, _of_size(shape))

    def gradient(self, img: Any, topgrad: Any, filter_shape: Any) -> Variable:
        """The same for filters of four lengths."""
        x, g = _floats(input=img, output_grad=topgrad)
        known = (length(g, 1), length(x, 1) // self._groups, None, None)
        like = _empty(_lengths(filter_shape, known, "filter_shape"), g.dtype)
        return GRAD_FILTER_OF(_with_zeros(x, self._zeros), g, like, **self._params(g.dtype))


class AbstractConv2d_gradInputs(_Convolution):  # noqa: N801
    """`AbstractConv2d_gradInputs(imshp, kshp, ...)(kern, topgrad, shape)` is the gradient of
    `conv2d` with respect to images whose height and width are `shape`."""

    def __call__(
        self, kern: Any, topgrad: Any, shape: Any, add_assert_shape: bool = True
    ) -> Variable:
        return self.gradient(kern, topgrad, _of_size(shape))

    def gradient(self, kern: Any, topgrad: Any, input_shape: Any) -> Variable:
        """The same for images of four lengths."""
        g, w = _floats(output_grad=topgrad, filters=kern)
        known = (length(g, 0), length(w, 1) * self._groups, None, None)
        n, channels, height, width = _lengths(input_shape, known, "input_shape")
        (top, _), (left, _) = self._zeros
        rows, columns = self._around
        outer = _empty([n, channels, height + rows, width + columns], g.dtype)
        dx = GRAD_INPUT_OF(w, g, outer, **self._params(g.dtype))
        if self._zeros == _NO_ZEROS:
            return dx
        return dx[:, :, top : top + height, left : left + width]


# --- functions ------------------------------------------------------------------------------------


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """Convolves images (batch, channels, height, width) with filters (filters, channels, h, w).

    input_shape (older name: image_shape) and filter_shape: the shapes, with None for unknown
    lengths, checked when the function runs. border_mode: zeros around the images: 'valid' (none),
    'full' (h - 1, w - 1), 'half' (h // 2, w // 2), an int, a pair (rows, columns), or a pair of
    pairs ((above, below), (left, right)). subsample: the strides. filter_flip: flip the filters in
    both axes, as convolution proper does. filter_dilation: the distance of a filter's elements on
    the image; h and w above are then (h - 1) * dilation + 1. num_groups: channels and filters are
    cut into so many groups, and filters (filters, channels / num_groups, h, w) see their own group.
    unshared: only False.

    Returns (batch, filters, height, width) in the inputs' dtype. Raises GraphTypeError for
    operands without four dimensions, ShapeError where shapes don't fit.
    """
    if image_shape is not None and input_shape is not None:
        raise GraphTypeError("conv2d got input_shape and image_shape, two names of one argument")
    op = AbstractConv2d(
        _declared_shape(image_shape if input_shape is None else input_shape, "input_shape"),
        _declared_shape(filter_shape, "filter_shape"),
        border_mode,
        subsample,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )
    return op(input, filters)


def conv2d_grad_wrt_inputs(
    output_grad: Any,
    filters: Any,
    input_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """The gradient of `conv2d` with respect to its images: a transposed convolution.

    output_grad: (batch, filters, height, width), of the convolution's result. input_shape: of the
    images, ints or integer scalars; batch and channels may be None. The other arguments are those
    of `conv2d`. Returns an array of input_shape. Raises GraphTypeError, ShapeError.
    """
    op = AbstractConv2d_gradInputs(
        None,
        _declared_shape(filter_shape, "filter_shape"),
        border_mode,
        subsample,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )
    return op.gradient(filters, output_grad, input_shape)


def conv2d_grad_wrt_weights(
    input: Any,
    output_grad: Any,
    filter_shape: Any,
    input_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """The gradient of `conv2d` with respect to its filters.

    output_grad: (batch, filters, height, width), of the convolution's result. filter_shape: of the
    filters, ints or integer scalars; filters and channels may be None. The other arguments are
    those of `conv2d`. Returns an array of filter_shape. Raises GraphTypeError, ShapeError.
    """
    op = AbstractConv2d_gradWeights(
        _declared_shape(input_shape, "input_shape"),
        None,
        border_mode,
        subsample,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )
    return op.gradient(input, output_grad, filter_shape)


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    input_dilation: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """`conv2d_grad_wrt_inputs`, called a transposed convolution: `input` takes the place of the
    gradient of a convolution's result, and input_dilation is that convolution's `subsample`.

    input: (batch, filters, height, width). filters: (filters, channels, h, w). output_shape:
    (batch, channels, height, width), ints or integer scalars; batch and channels may be None.
    Returns an array of output_shape. Raises GraphTypeError, ShapeError.
    """
    return conv2d_grad_wrt_inputs(
        input,
        filters,
        output_shape,
        filter_shape,
        border_mode,
        input_dilation,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )


# --- upsampling -----------------------------------------------------------------------------------


def _bilinear_weights(ratio: Any) -> Array:
    """1, 2, ..., ratio, ..., 2, 1."""
    n = integer(ratio, "ratio", 1)
    return np.concatenate([np.arange(1.0, n + 1), np.arange(n - 1.0, 0, -1)])


def bilinear_kernel_1D(ratio: int, normalize: bool = True) -> Variable:  # noqa: N802
    """The weights 1, 2, ..., ratio, ..., 2, 1 of a linear interpolation between pixels that are
    `ratio` apart; normalize: divided by `ratio`. A vector of floatX."""
    weights = _bilinear_weights(ratio)
    return constant(weights / ratio if flag(normalize, "normalize") else weights, config.floatX)


def bilinear_kernel_2D(ratio: int, normalize: bool = True) -> Variable:  # noqa: N802
    """The products of the weights of `bilinear_kernel_1D` for rows and for columns: a matrix."""
    weights = bilinear_kernel_1D(ratio, normalize)
    return dimshuffle(weights, 0, "x") * dimshuffle(weights, "x", 0)


def bilinear_upsampling(
    input: Any,
    ratio: Any = None,
    frac_ratio: Any = None,
    batch_size: int | None = None,
    num_input_channels: int | None = None,
    use_1D_kernel: bool = True,  # noqa: N803
) -> Variable:
    """Images (batch, channels, height, width) with `ratio` times the rows and columns.

    Pixel (r, c) becomes pixel (r * ratio + (ratio - 1) // 2, ...); those between are interpolated
    linearly, and those before the first pixel or behind the last repeat it. ratio: an int. The
    other arguments are there for Theano's programs: frac_ratio is None, and the rest changes no
    result. Raises GraphTypeError.
    """
    if frac_ratio is not None:
        raise ArgumentError(
            f"frac_ratio is {shown(frac_ratio)}; only an integer ratio is supported"
        )
    (x,) = _floats(input=input)
    n = integer(ratio, "ratio", 1)
    flag(use_1D_kernel, "use_1D_kernel")
    weights = constant(_bilinear_weights(n) / n, x.dtype)
    channels = [length(x, 0), length(x, 1)]
    y = reshape(x, [channels[0] * channels[1], 1, length(x, 2), length(x, 3)])
    padding = 2 * n - (n - 1) // 2 - 1
    for axis in (2, 3):
        every = (slice(None),) * axis
        extended = concatenate([y[(*every, slice(0, 1))], y, y[(*every, slice(-1, None))]], axis)
        is_along = [i == axis for i in range(4)]
        y = conv2d_grad_wrt_inputs(
            extended,
            dimshuffle(weights, *(0 if along else "x" for along in is_along)),
            [length(y, i) * n if along else length(y, i) for i, along in enumerate(is_along)],
            border_mode=[padding if along else 0 for along in is_along[2:]],
            subsample=[n if along else 1 for along in is_along[2:]],
        )
    return reshape(y, [*channels, length(y, 2), length(y, 3)])


__all__ = [
    "AbstractConv2d",
    "AbstractConv2d_gradInputs",
    "AbstractConv2d_gradWeights",
    "bilinear_kernel_1D",
    "bilinear_kernel_2D",
    "bilinear_upsampling",
    "conv2d",
    "conv2d_grad_wrt_inputs",
    "conv2d_grad_wrt_weights",
    "conv2d_transpose",
]
