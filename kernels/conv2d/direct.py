"""The forward convolution for windows or filters that don't fit in a block's shared memory.

Shapes: as conv2d.py. Algorithm: a thread computes one element of the output directly from global
memory. For each position of its window it adds over (c, kh, kw) in this order, so equal patches
give equal bits. Winners take a second pass over the window, which computes the same sums again,
because a window may have any number of positions. Launch: 128 threads a block, one per element.
Reference: contracts/conv2d/conv2d.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, grid_1d
from ..core.device import TYPES, device, multiply_adds
from ..core.index import at, grid_index, u32, wrapped
from ..core.integers import blocks_for
from .geometry import Convolution
from .pooling import bias_of_filter

THREADS = 128


def direct(call: Call, conv: Convolution) -> Launch:
    """The kernel of a call."""
    size, positions = conv.size, conv.positions
    n_filters, (height, width) = conv.filters, conv.pooled
    n_bytes, has_winners, first_only = conv.mask_bytes, conv.winners is not None, conv.first_only
    pool_rows, pool_columns = conv.pool
    sum_at = _sum(conv)
    larger, wins = _pool()
    end, store_winners = call.finishes[0], call.stores[-1]

    def body(p: Any) -> None:
        i = grid_index()
        if i < size:
            x = i % width * pool_columns
            rest = i // width
            y = rest % height * pool_rows
            rest = rest // height
            o, n = rest % n_filters, rest // n_filters
            best = sum_at(n, o, y, x, p)
            for k in range(1, positions):
                row = y + k // pool_columns
                best = larger(sum_at(n, o, row, x + k % pool_columns, p), best)
            if has_winners:
                found = False
                for b in range(n_bytes):
                    byte = u32(0)
                    for k in range(8 * b, min(8 * b + 8, positions)):
                        row = y + k // pool_columns
                        value = sum_at(n, o, row, x + k % pool_columns, p)
                        if wins(value, best) and not (first_only and found):
                            byte = byte | 1 << k % 8
                            found = True
                    store_winners(byte, i * n_bytes + b, p)
            end(best, i, p)

    threads = min(THREADS, max(size, 1))
    return Launch(body, grid_1d(blocks_for(size, threads), threads))


def _pool() -> tuple[Function, Function]:
    """`larger(value, best)` and `wins(value, best)`: the maximum of a window, and its winners.

    NaN is larger than any number; if there are NaNs, all of them win.
    """

    @device
    def larger(value: Any, best: Any) -> Any:
        return value if value > best or value != value else best

    @device
    def wins(value: Any, best: Any) -> Any:
        return value == best or value != value

    return larger, wins


def _sum(conv: Convolution) -> Function:
    """`sum_at(n, o, y, x, p)`: one position of the convolution, with the bias."""
    channels, (kernel_rows, kernel_columns) = conv.channels, conv.kernel
    (height, width), (stride_y, stride_x) = conv.image, conv.stride
    before_y, before_x = map(wrapped, (-conv.padding[0], -conv.padding[1]))
    pixel, weight, dtype = at(conv.x), at(conv.w), TYPES[conv.dtype]
    multiply_add = multiply_adds[conv.x.dtype]
    bias_at, with_bias = bias_of_filter(conv)

    @device
    def sum_at(n: Any, o: Any, y: Any, x: Any, p: Any) -> Any:
        total = dtype(0)
        top = y * stride_y + before_y
        left = x * stride_x + before_x
        for c in range(channels):
            for r in range(kernel_rows):
                for q in range(kernel_columns):
                    row, column = top + r, left + q
                    value = dtype(0)  # of the padding; it takes part in the arithmetic
                    if row < height and column < width:
                        value = p[0][pixel(n, c, row, column)]
                    factor = p[1][weight(o, c, r, q)]
                    total = multiply_add(value, factor, total)
        return with_bias(total, bias_at(o, p))

    return sum_at
