"""Convolutions with dilated filters, as plain ones over more and smaller images.

A filter dilated by d meets every d-th row of an image. So output rows of equal remainder modulo d
(with a stride s: modulo d / gcd(s, d)) are a plain convolution of every d-th row of the image: a
*phase*. All phases have one shape and become images of one batch. So there is one call of the
kernel, in which all positions add their terms in the same order, and equal patches stay equal.

The products are those of the filter's own taps. A filter of k * k taps with zeros in its gaps would
cost ((k - 1) * d + 1)**2 / k**2 times as many: 2.8 times for k = 3 and d = 2, 9 times for d = 4.
The image and the result are copied once each. Where the number of output rows is no multiple of
that of the phases, the last rows of some phases are computed and left out: fewer rows than there
are phases, and fewer than the result has.
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.shape import dimshuffle, static_reshape
from tinygrad_mnist.ops.windows import framed, free, sum_of_windows, windows


class Phases(NamedTuple):
    """The phases along one axis of a convolution.

    n: length of the image. outputs: length of the result. padding, dilation, stride: of the
    convolution. number: of phases. positions: output positions of each. size: length of its image.
    inner_stride: between its positions.
    """

    n: int
    outputs: int
    padding: int
    dilation: int
    stride: int
    number: int
    positions: int
    size: int
    inner_stride: int

    @property
    def span(self) -> int:
        """Elements of the padded image that the phases read, with those between."""
        return (self.number - 1) * self.stride + (self.size - 1) * self.dilation + 1

    @property
    def alternate(self) -> bool:
        """Whether the phases take the elements of the span in turn."""
        return self.number == self.dilation and 1 in (self.number, self.stride)


def phases_along(
    n: int, taps: int, outputs: int, padding: int, stride: int, dilation: int
) -> Phases:
    """The phases of an axis with `outputs` positions of a filter with `taps` elements."""
    if taps == 1:
        dilation = 1
    common = gcd(stride, dilation)
    period = dilation // common
    positions = -(-outputs // period)
    inner_stride = stride // common if positions > 1 else 1
    return Phases(
        n,
        outputs,
        padding,
        dilation,
        stride if outputs > 1 else 1,
        min(period, outputs),
        positions,
        (positions - 1) * inner_stride + taps,
        inner_stride,
    )


def split_images(x: Variable, rows: Phases, columns: Phases) -> Variable:
    """Images (N, C, H, W) -> their phases (N * phases, C, height, width)."""
    x = framed(x, {2: (-rows.padding, rows.span), 3: (-columns.padding, columns.span)})
    for axis, along in ((2, rows), (4, columns)):
        x = windows(x, axis, along.number, along.size, along.stride, along.dilation)
    return _flat(dimshuffle(x, 0, 2, 4, 1, 3, 5))


def join_images(x: Variable, rows: Phases, columns: Phases) -> Variable:
    """The adjoint of `split_images`: what it leaves out is 0."""
    if rows.alternate and columns.alternate:
        x = _interleaved(x, rows, columns)
    else:
        x = dimshuffle(_by_phase(x, rows, columns), 0, 3, 1, 4, 2, 5)
        for axis, along in ((4, columns), (2, rows)):
            x = sum_of_windows(x, axis, along.span, along.stride, along.dilation)
    return framed(x, {2: (rows.padding, rows.n), 3: (columns.padding, columns.n)})


def split_results(y: Variable, rows: Phases, columns: Phases) -> Variable:
    """The adjoint of `join_results`: positions that it leaves out are zeros."""
    lengths = (rows.positions, rows.number, columns.positions, columns.number)
    y = framed(y, {2: (0, lengths[0] * lengths[1]), 3: (0, lengths[2] * lengths[3])})
    y = static_reshape(y, (*y.type.static_shape[:2], *lengths), free(6))
    return _flat(dimshuffle(y, 0, 3, 5, 1, 2, 4))


def join_results(y: Variable, rows: Phases, columns: Phases) -> Variable:
    """Results of the phases (N * phases, O, height, width) -> (N, O, OH, OW)."""
    y = _interleaved(y, rows, columns)
    return framed(y, {2: (0, rows.outputs), 3: (0, columns.outputs)})


def _interleaved(x: Variable, rows: Phases, columns: Phases) -> Variable:
    """(N * phases, C, height, width) -> (N, C, phases of rows * height, ...), where the phases
    alternate."""
    channels, height, width = x.type.static_shape[1:]
    x = dimshuffle(_by_phase(x, rows, columns), 0, 3, 4, 1, 5, 2)
    shape = (x.type.static_shape[0], channels, height * rows.number, width * columns.number)
    return static_reshape(x, shape, free(4))


def _by_phase(x: Variable, rows: Phases, columns: Phases) -> Variable:
    """(N * phases, ...) -> (N, phases of rows, phases of columns, ...)."""
    n, *rest = x.type.static_shape
    lengths = (n // (rows.number * columns.number), rows.number, columns.number, *rest)
    return static_reshape(x, lengths, free(6))


def _flat(x: Variable) -> Variable:
    """(N, phases of rows, phases of columns, ...) -> (N * phases, ...)."""
    shape = x.type.static_shape
    return static_reshape(x, (shape[0] * shape[1] * shape[2], *shape[3:]), free(4))
