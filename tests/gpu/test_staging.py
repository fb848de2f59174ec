"""Copies of boxes of operands to shared memory, against NumPy: all ways to lay threads along a box,
in one round and in several, beyond the operand's edges."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import backends

SHAPE = (3, 4, 5, 6)
# Of two boxes, their lengths and the index of their first element along each axis.
BOXES = [
    ((2, 3, 5, 4), (1, 1, 0, 1), (1, 1, 1, 7), (2, 3, 4, 0)),
    ((1, 2, 7, 8), (0, 1, -1, -1), (3, 4, 2, 1), (0, 0, 3, 5)),
    ((4, 1, 5, 6), (1, 2, 0, 0), (2, 2, 2, 2), (2, 3, 4, 5)),
]


def expected(x: Any, lengths: tuple[int, ...], first: tuple[int, ...]) -> Any:
    """The elements of a box, zeros outside of x."""
    padded = np.pad(x, 8)
    return padded[tuple(slice(f + 8, f + 8 + n) for f, n in zip(first, lengths, strict=True))]


@pytest.mark.sim
@pytest.mark.parametrize("box", BOXES, ids=[f"box{k}" for k in range(len(BOXES))])
@pytest.mark.parametrize("along", [(4, 4), (3, 2), (2, 1), (1, 3)], ids=str)
@pytest.mark.parametrize(("threads", "rooms"), [(7, (100, 100)), (7, (9, 4)), (20, (2, 2))])
def test_boxes(box: Any, along: Any, threads: int, rooms: Any) -> None:
    """Both parts are copied whole, and each thread returns whether its elements are finite."""
    backends.backend("cudasim")
    from tinygrad_mnist.kernels.conv2d.staging import Box, elements, stager
    from tinygrad_mnist.kernels.core.call import Operand
    from tinygrad_mnist.kernels.core.device import cuda, device
    from tinygrad_mnist.kernels.core.index import ravel, thread_index, u32, wrapped

    x = np.arange(1, prod(SHAPE) + 1, dtype="float32").reshape(SHAPE)
    strides = tuple(s // 4 for s in x.strides)

    def part(number: int, lengths: Any, first: Any, along: int, begin: int) -> Any:
        a, b, c, d = map(wrapped, first)
        outer = prod(lengths[4 - along :])

        @device
        def origin(where: Any) -> Any:
            return u32(a), u32(b), u32(c), u32(d)

        operand = Operand("float32", SHAPE, strides)
        place = ravel(outer, 1, base=begin)
        return elements(number, operand, Box(lengths, origin, along), place, zeros=True)

    sizes = prod(box[0]), prod(box[2])
    first = part(0, box[0], box[1], along[0], 0)
    second = part(1, box[2], box[3], along[1], sizes[0])
    stage = stager("float32", threads, rooms, first, second)

    def kernel(x: Any, y: Any, memory: Any, finite: Any) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # NumPy keeps it per thread
            t = thread_index()
            finite[t] = stage((x, y), memory, 0, t)

    def staged(y: Any) -> tuple[Any, Any]:
        memory, finite = np.full(sum(sizes), np.nan, np.float32), np.zeros(threads, bool)
        cuda.jit(kernel)[1, threads](x.ravel(), y.ravel(), memory, finite)
        return memory, finite

    y = -x
    memory, finite = staged(y)
    both = expected(x, *box[:2]).ravel(), expected(y, *box[2:]).ravel()
    np.testing.assert_array_equal(memory, np.concatenate(both))
    assert finite.all()

    last = tuple(min(f + n, m) - 1 for f, n, m in zip(box[1], box[0], SHAPE, strict=True))
    x[last], y[...] = np.inf, np.nan  # the second part isn't tested
    _, finite = staged(y)
    assert finite.sum() == threads - 1
