"""Theano's classes of a convolution in two dimensions and of its gradients."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.config import config
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
    integer_pair,
    length,
    shape_scalars,
)

Zeros = tuple[Pair, Pair]  # (above, below), (left, right)
_NO_ZEROS: Zeros = ((0, 0), (0, 0))


def declared_shape(shape: Any, what: str) -> tuple[int | None, ...] | None:
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


def border_of(border_mode: Any) -> tuple[Border, Zeros]:
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


def floats_of_images(**operands: Any) -> list[Variable]:
    """Variables of one float dtype, all of four dimensions."""
    variables = {name: as_variable(v) for name, v in operands.items()}
    for name, v in variables.items():
        if v.ndim != 4:
            raise GraphTypeError(f"{name} has to have four dimensions; it is {v.type}")
    dtype = upcast(*(v.dtype for v in variables.values()))
    dtype = dtype if dtype in FLOATS else config.floatX
    return [cast(v, dtype) for v in variables.values()]


def _lengths(shape: Any, known: tuple[Variable | None, ...], what: str) -> list[Variable]:
    """The four lengths of a shape: a symbolic vector, or ints, integer scalars and None, where they
    are `known`."""
    if isinstance(shape, Variable):
        shape = shape_scalars(shape, 4)
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
        self.imshp = declared_shape(imshp, "imshp")
        self.kshp = declared_shape(kshp, "kshp")
        border, self._zeros = border_of(border_mode)
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
        x, w = floats_of_images(input=img, filters=kern)
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
        x, g = floats_of_images(input=img, output_grad=topgrad)
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
        g, w = floats_of_images(output_grad=topgrad, filters=kern)
        known = (length(g, 0), length(w, 1) * self._groups, None, None)
        n, channels, height, width = _lengths(input_shape, known, "input_shape")
        (top, _), (left, _) = self._zeros
        rows, columns = self._around
        outer = _empty([n, channels, height + rows, width + columns], g.dtype)
        dx = GRAD_INPUT_OF(w, g, outer, **self._params(g.dtype))
        if self._zeros == _NO_ZEROS:
            return dx
        return dx[:, :, top : top + height, left : left + width]


__all__ = ["AbstractConv2d", "AbstractConv2d_gradInputs", "AbstractConv2d_gradWeights"]
