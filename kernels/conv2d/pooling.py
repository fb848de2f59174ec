"""Windows of a pool: their maximum and winners, and the gradients that go back to the winners.

A *position* is one of the filter on the image, (oh, ow) of (OH, OW). Without a pool every position
is a window, and wins. Winners are a bit mask: bit b is position (b // columns, b % columns) of the
window.
"""

from __future__ import annotations

from math import nan
from typing import Any, NamedTuple

from ..core.call import Function, Operand
from ..core.device import TYPES, device
from ..core.index import at, u32, wrapped
from .geometry import Convolution


class Window(NamedTuple):
    """What becomes of the sums of a window.

    bias_at, with_bias: see `bias_of_filter`. max_and_mask: see `window_maximum`.
    """

    bias_at: Function
    with_bias: Function
    max_and_mask: Function


def window(conv: Convolution) -> Window:
    """The functions of a forward call's windows."""
    return Window(*bias_of_filter(conv), window_maximum(conv))


def bias_of_filter(conv: Convolution) -> tuple[Function, Function]:
    """`bias_at(o, p)`: the bias of filter o, or of the last one where there is no filter o; and
    `with_bias(value, bias)`: the sum. Without a bias the value stays as it is, also where it is -0.
    """
    dtype = TYPES[conv.dtype]
    if conv.bias is None:

        @device
        def nothing(o: Any, p: Any) -> Any:
            return dtype(0)

        @device
        def unchanged(value: Any, bias: Any) -> Any:
            return value

        return nothing, unchanged

    place, last = at(conv.bias), conv.filters - 1

    @device
    def bias_at(o: Any, p: Any) -> Any:
        return p[2][place(min(o, last))]

    @device
    def with_bias(value: Any, bias: Any) -> Any:
        return value + bias

    return bias_at, with_bias


def window_maximum(conv: Convolution) -> Function:
    """`max_and_mask(values)`: the maximum of a window, and the bit mask of its winners, or of the
    first of them.

    values: a local array of the window's positions, at most 32. With a NaN the maximum is NaN, and
    the NaNs win.
    """
    positions, dtype, first_only = conv.positions, TYPES[conv.dtype], conv.first_only

    @device
    def max_and_mask(values: Any) -> Any:
        best = values[0]
        is_nan = best != best
        for k in range(1, positions):
            best = max(best, values[k])
            is_nan = is_nan or values[k] != values[k]
        mask = u32(0)
        if is_nan:
            best = dtype(nan)
            for k in range(positions):
                bit = u32(1) if values[k] != values[k] else u32(0)
                mask = mask | bit << k
        else:
            for k in range(positions):
                bit = u32(0) if values[k] < best else u32(1)
                mask = mask | bit << k
        if first_only:  # there is a winner: the mask is not 0
            mask = mask & (0 - mask)  # the lowest bit
        return best, mask

    return max_and_mask


def unpooled(conv: Convolution) -> Function:
    """`gradient(p, n, o, oh, ow)`: the gradient of a position inside `conv.used`.

    The gradient of the output is input 1, and winners are input 2.
    """
    at_y = at(conv.y)
    if conv.winners is None:

        def plain(p: Any, n: Any, o: Any, oh: Any, ow: Any) -> Any:
            return p[1][at_y(n, o, oh, ow)]

        return device(plain)
    first_byte, byte_of = at(conv.winners, 4), mask_byte(conv.winners)
    (pool_h, pool_w), zero = conv.pool, TYPES[conv.dtype](0)

    def behind_pool(p: Any, n: Any, o: Any, oh: Any, ow: Any) -> Any:
        h, w = oh // pool_h, ow // pool_w
        bit = oh % pool_h * pool_w + ow % pool_w
        byte = byte_of(p[2], first_byte(n, o, h, w), bit // 8)
        won = byte >> bit % 8 & 1
        return p[1][at_y(n, o, h, w)] if won != 0 else zero

    return device(behind_pool)


def window_reader(conv: Convolution) -> Function:
    """`read(p, n, o, h, w, exists)`: gradient and winners of a window; a gradient of zero where it
    doesn't exist. Without a pool the one position of a window wins."""
    at_y, zero = at(conv.y), TYPES[conv.dtype](0)
    if conv.winners is None:

        def plain(p: Any, n: Any, o: Any, h: Any, w: Any, exists: Any) -> Any:
            value = p[1][at_y(n, o, h, w) if exists else u32(0)]
            return value if exists else zero, u32(1)

        return device(plain)
    first_byte, byte_of = at(conv.winners, 4), mask_byte(conv.winners)
    n_bytes, of_none = conv.mask_bytes, conv.winners.base  # an element that exists

    def behind_pool(p: Any, n: Any, o: Any, h: Any, w: Any, exists: Any) -> Any:
        value = p[1][at_y(n, o, h, w) if exists else u32(0)]
        first = first_byte(n, o, h, w) if exists else u32(of_none)
        mask = u32(0)
        for k in range(n_bytes):
            mask = mask | byte_of(p[2], first, k) << 8 * k
        return value if exists else zero, mask

    return device(behind_pool)


def mask_byte(winners: Operand) -> Function:
    """`byte_of(p, first, k)`: byte k of a window's mask, whose first byte is at `first`."""
    step = wrapped(winners.strides[4])

    def byte_of(p: Any, first: Any, k: Any) -> Any:
        return u32(p[first + k * step])

    return device(byte_of)
