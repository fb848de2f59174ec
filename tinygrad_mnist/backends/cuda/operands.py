"""Operands of a plan's calls as the kernels of a GPU get them: pointers to the lowest element."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinygrad_mnist.compile.plan import View
from tinygrad_mnist.graph.layout import Layout

MAX_REACH = 2**31  # indices are 32 bits wide
ALIGNMENT = 256  # of every block of device memory, in bytes, as cuMemAlloc gives it
WIDEST = 16  # bytes of the widest access; kernels ask for no greater alignment


class Operand(NamedTuple):
    """A view without its buffer; see `kernels.core.call.Operand`, whose fields it has."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    base: int
    alignment: int


class Pointer(NamedTuple):
    """The element that an operand's pointer points to.

    buffer: number in the plan. offset: in elements, of the lowest element; of one that moves from
    step to step it is what is added to the moves. moves: pairs (column of the step table, elements
    per unit).
    """

    buffer: int
    offset: int
    moves: tuple[tuple[int, int], ...]


class TooLargeError(ValueError):
    """An operand has more elements than 32-bit indices reach."""


def check_reach(n: int, shape: tuple[int, ...]) -> None:
    """Raises TooLargeError where 32-bit indices can't number `n` elements."""
    if n > MAX_REACH:
        raise TooLargeError(
            f"an array of {' x '.join(map(str, shape))} reaches over {n:,} elements; kernels of a "
            f"GPU take at most {MAX_REACH:,}"
        )


def check_scratch(kernel: str, n: int) -> None:
    """Raises TooLargeError where a kernel needs so much memory for sums on the way."""
    if n > MAX_REACH:
        raise TooLargeError(
            f"{kernel} cuts its long sums into parts, here {n:,} in all; kernels of a GPU reach at "
            f"most {MAX_REACH:,} elements, so compute it in smaller pieces"
        )


def operand(view: View, start: Pointer, begin: int, n_stacked: int = 0) -> Operand:
    """The operand of a view; TooLargeError where its range, or its number of elements with repeated
    ones, is too long for 32-bit indices.

    start: its pointer. begin: offset of its buffer in a block of memory, in bytes. n_stacked:
    elements from one step's array to the next, if the buffer may have an axis of steps.
    """
    layout = view.layout
    low, high = layout.extent
    check_reach(max(high - low + 1, layout.size), layout.shape)
    steps = [start.offset, n_stacked, *(step for _, step in layout.slots)]
    nbytes = [step * np.dtype(view.dtype).itemsize for step in steps]
    alignment = math.gcd(WIDEST, begin, *nbytes)
    return Operand(view.dtype, layout.shape, layout.strides, _base(layout), alignment)


def pointer(view: View, stacked: dict[int, int]) -> Pointer:
    """stacked: the column of the step table for each buffer that may have an axis of steps."""
    layout = view.layout
    moves = list(layout.slots)
    if view.buffer in stacked:
        moves.append((stacked[view.buffer], 1))
    offset = 0 if layout.size == 0 else layout.offset - _base(layout)
    return Pointer(view.buffer, offset, tuple(moves))


def _base(layout: Layout) -> int:
    """How far the first element is from the lowest one."""
    if layout.size == 0:
        return 0
    axes = zip(layout.shape, layout.strides, strict=True)
    return sum((n - 1) * -s for n, s in axes if s < 0)
