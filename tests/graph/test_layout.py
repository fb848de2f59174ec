"""Layouts: the location of each element."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tinygrad_mnist.graph.layout import Layout, contiguous, reshaped

MEMORY = np.arange(10_000)


def elements(layout: Layout) -> NDArray[np.int64]:
    """Positions in memory of a layout's elements."""
    if layout.size == 0:
        return np.empty(layout.shape, np.int64)
    strides = [s * MEMORY.itemsize for s in layout.strides]
    return np.lib.stride_tricks.as_strided(MEMORY[layout.offset :], layout.shape, strides)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Slices, with steps and backwards, of a transposed array; some axes repeated."""
    shape = draw(st.lists(st.integers(1, 6), min_size=0, max_size=4))
    order = draw(st.permutations(range(len(shape))))
    strides = [contiguous(shape).strides[i] for i in order]
    offset, lengths = 0, []
    for axis, n in enumerate([shape[i] for i in order]):
        start = draw(st.integers(0, n - 1))
        step = draw(st.sampled_from([1, 1, 1, 2, -1]))
        count = len(range(*slice(start, None, step).indices(n)))
        offset += start * strides[axis]
        repeat = draw(st.integers(0, 7)) == 0
        strides[axis] = 0 if repeat else strides[axis] * step
        lengths.append(count)
    return Layout(tuple(lengths), tuple(strides), offset)


@st.composite
def shapes_of(draw: st.DrawFn, size: int) -> tuple[int, ...]:
    """A shape of `size` elements."""
    shape = []
    while size > 1 and draw(st.booleans()):
        factor = draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
        shape.append(factor)
        size //= factor
    shape.append(size)
    return tuple(shape) if size > 1 or draw(st.booleans()) else tuple(shape[:-1])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_reshape_keeps_the_elements_in_order(data: st.DataObject) -> None:
    layout = data.draw(layouts())
    shape = data.draw(shapes_of(layout.size))
    result = reshaped(layout, shape)
    positions = elements(layout)
    if result is not None:
        assert result.shape == shape
        np.testing.assert_array_equal(elements(result), positions.reshape(shape))


@settings(max_examples=200, deadline=None)
@given(layouts())
def test_dimensions_of_length_1_come_and_go_for_free(layout: Layout) -> None:
    squeezed = tuple(n for n in layout.shape if n != 1)
    padded = (1, *(m for n in layout.shape for m in (n, 1)))
    for shape in (squeezed, padded):
        result = reshaped(layout, shape)
        assert result is not None
        np.testing.assert_array_equal(elements(result), elements(layout).reshape(shape))


CASES = [
    (Layout((4, 6), (6, 1)), (2, 2, 3, 2), (12, 6, 2, 1)),  # C order
    (Layout((4, 3), (6, 1)), (2, 2, 3), (12, 6, 1)),  # rows with gaps
    (Layout((4, 3), (6, 1)), (12,), None),
    (Layout((3, 4), (1, 3)), (12,), None),  # a transpose
    (Layout((3, 4), (1, 3)), (3, 2, 2), (1, 6, 3)),
    (Layout((5,), (-1,), 4), (5, 1), (-1, 0)),
    (Layout((4, 3), (0, 1)), (2, 2, 3), (0, 0, 1)),  # repeated rows
    (Layout((4, 3), (0, 1)), (12,), None),
    (Layout((6,), (2,)), (2, 3), (6, 2)),
]


@pytest.mark.parametrize(("layout", "shape", "strides"), CASES)
def test_reshape(layout: Layout, shape: tuple[int, ...], strides: tuple[int, ...] | None) -> None:
    result = reshaped(layout, shape)
    assert (None if result is None else result.strides) == strides


def test_slots_and_offsets_survive() -> None:
    layout = Layout((2, 3), (3, 1), 7, ((0, 3), (1, 1)))
    for result in (reshaped(layout, (6,)), layout.rearranged((3, 2), (1, 3))):
        assert result is not None
        assert (result.offset, result.slots) == (7, ((0, 3), (1, 1)))


def test_contiguous() -> None:
    assert contiguous((2, 3, 4)).strides == (12, 4, 1)
    assert contiguous(()).size == 1
    assert contiguous((3, 0)).is_contiguous
    assert Layout((3, 1), (1, 99)).is_contiguous
    assert not Layout((3, 2), (1, 3)).is_contiguous
    assert not Layout((3,), (0,)).is_contiguous
