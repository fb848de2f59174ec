"""Layouts of arrays in a buffer, and slices of arrays whose shape is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import gcd
from typing import NamedTuple


class Offset(NamedTuple):
    """The start of a slice: a number that the plan knows, or a slot that each call fills.

    value: the start, in elements of the sliced axis; 0 where `slot` gives it.
    slot: number of the slot, or None.
    """

    value: int
    slot: int | None = None


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

    @property
    def extent(self) -> tuple[int, int]:
        """The lowest and the highest offset of an element, with all slots 0; (0, -1) for no
        elements."""
        if self.size == 0:
            return 0, -1
        reach = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        low = self.offset + sum(r for r in reach if r < 0)
        return low, self.offset + sum(r for r in reach if r > 0)

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

    Old dimensions that one stride can describe are merged into runs; each new dimension must fit in
    one run.
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


class StaticSlice(NamedTuple):
    """A slice of an array of known shape, as numbers.

    starts, lengths, steps: for every axis of the array. kept: the axes that the slice has; of each
    other axis it takes one element.
    """

    starts: tuple[Offset, ...]
    lengths: tuple[int, ...]
    steps: tuple[int, ...]
    kept: tuple[int, ...]

    @staticmethod
    def whole(shape: tuple[int, ...]) -> StaticSlice:
        """All of an array."""
        n = len(shape)
        return StaticSlice((Offset(0),) * n, shape, (1,) * n, tuple(range(n)))

    def along(self, axis: int, start: int, n: int) -> StaticSlice:
        """The same slice except along one axis, where it takes n elements from `start` on."""
        starts, lengths = list(self.starts), list(self.lengths)
        starts[axis], lengths[axis] = Offset(start), n
        return self._replace(starts=tuple(starts), lengths=tuple(lengths))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the slice."""
        return tuple(self.lengths[axis] for axis in self.kept)

    @property
    def is_fixed(self) -> bool:
        """Whether all starts are known before run time."""
        return all(start.slot is None for start in self.starts)

    def covers(self, shape: tuple[int, ...]) -> bool:
        """Whether the slice takes all of an array of that shape, in its order."""
        return self.lengths == shape and self == StaticSlice.whole(shape)

    def is_disjoint_from(self, other: StaticSlice) -> bool:
        """Whether two slices of one array have no element in common (conservative: may be False for
        disjoint slices)."""
        return any(
            not _may_overlap(self._indices(axis), other._indices(axis))
            for axis in range(len(self.lengths))
            if self.starts[axis].slot is None and other.starts[axis].slot is None
        )

    def _indices(self, axis: int) -> range:
        """The indices that it takes along an axis whose start is known."""
        start, step = self.starts[axis].value, self.steps[axis]
        return range(start, start + step * self.lengths[axis], step)

    def partial_axes(self, shape: tuple[int, ...]) -> list[int]:
        """The axes along which it does not take every element."""
        return [axis for axis, n in enumerate(self.lengths) if n != shape[axis]]

    def layout(self, layout: Layout) -> Layout:
        """The layout of this slice, given the array's layout."""
        offset, slots = layout.offset, list(layout.slots)
        for start, stride in zip(self.starts, layout.strides, strict=True):
            offset += start.value * stride
            if start.slot is not None and stride:
                slots.append((start.slot, stride))
        return Layout(
            self.shape,
            tuple(layout.strides[axis] * self.steps[axis] for axis in self.kept),
            offset,
            tuple(slots),
        )

    def key(self) -> tuple[int | slice, ...]:
        """The slice as a NumPy key; ValueError where a start is known at run time only."""
        if not self.is_fixed:
            raise ValueError("the start of this slice is known only when the plan runs")
        key: list[int | slice] = []
        for axis, (start, n, step) in enumerate(
            zip(self.starts, self.lengths, self.steps, strict=True)
        ):
            if axis not in self.kept:
                key.append(start.value)
                continue
            stop = start.value + n * step
            key.append(slice(start.value, stop if stop >= 0 else None, step) if n else slice(0))
        return tuple(key)


def all_disjoint(regions: Sequence[StaticSlice], axis: int = 0) -> bool:
    """Whether no two slices of one array have an element in common (conservative, as
    `is_disjoint_from`). Looks at neighbours along an axis, not at all pairs.

    axis: the slices overlap along all axes before it.
    """
    if len(regions) < 2:
        return True
    if axis == len(regions[0].lengths):
        return all(a.is_disjoint_from(b) for a, b in combinations(regions, 2))
    if any(region.starts[axis].slot is not None for region in regions):
        return all_disjoint(regions, axis + 1)
    spans = []
    for number, region in enumerate(regions):
        taken = region._indices(axis)
        if taken:
            spans.append((min(taken[0], taken[-1]), max(taken[0], taken[-1]), number))
    group: list[StaticSlice] = []  # slices that overlap along the axis, one with the next
    end = -1
    for first, last, number in sorted(spans):
        if first > end:
            if not all_disjoint(group, axis + 1):
                return False
            group = []
        group.append(regions[number])
        end = max(end, last)
    return all_disjoint(group, axis + 1)


def _may_overlap(a: range, b: range) -> bool:
    """Whether two ranges may overlap (conservative: may be True for disjoint ranges)."""
    if not a or not b or max(a[0], a[-1]) < min(b[0], b[-1]) or max(b[0], b[-1]) < min(a[0], a[-1]):
        return False
    return (a.start - b.start) % gcd(a.step, b.step) == 0
