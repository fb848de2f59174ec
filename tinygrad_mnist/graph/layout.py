"""Where the elements of an array lie in a buffer: shape, strides, offset, run-time slots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Layout(NamedTuple):
    """A strided arrangement over one buffer.

    shape: lengths of the dimensions.
    strides: steps between neighbours, in elements; 0 repeats one element.
    offset: of the first element, in elements.
    slots: pairs (slot number, elements per unit) that each call adds to the offset.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    slots: tuple[tuple[int, int], ...] = ()

    @property
    def size(self) -> int:
        """Number of elements, repeated ones included."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie next to each other in C order."""
        expected = 1
        for length, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if length != 1 and stride != expected:
                return self.size == 0
            expected *= length
        return True

    def rearranged(self, shape: Iterable[int], strides: Iterable[int]) -> Layout:
        """The same start with another shape and other strides."""
        return Layout(tuple(shape), tuple(strides), self.offset, self.slots)


def contiguous(shape: Iterable[int]) -> Layout:
    """The C-order layout of a shape."""
    shape = tuple(shape)
    strides = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return Layout(shape, tuple(reversed(strides)))


def reshaped(layout: Layout, shape: tuple[int, ...]) -> Layout | None:
    """`layout` seen as another shape of the same size, or None where strides can't express it.

    Old dimensions are merged into runs that lie evenly; each new dimension must fit in one run.
    """
    if layout.is_contiguous:
        fresh = contiguous(shape)
        return Layout(shape, fresh.strides, layout.offset, layout.slots)
    old = [(n, s) for n, s in zip(layout.shape, layout.strides, strict=True) if n != 1]
    runs: list[tuple[int, int]] = []
    for length, stride in old:
        if runs and runs[-1][1] == stride * length:
            runs[-1] = (runs[-1][0] * length, stride)
        else:
            runs.append((length, stride))
    strides = []
    runs.reverse()
    for length in reversed(shape):
        if length == 1:
            strides.append(0)
            continue
        if not runs or runs[0][0] % length:
            return None
        run_length, stride = runs.pop(0)
        strides.append(stride)
        if run_length > length:
            runs.insert(0, (run_length // length, stride * length))
    return layout.rearranged(shape, reversed(strides))
