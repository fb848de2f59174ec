"""Limits, and gradients behind a pool, for the kernels of convolutions' gradients.

A *position* is one of the filter on the image, (oh, ow) of (OH, OW). Before a pool only the winners
of its windows have a gradient; otherwise all positions have.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Function, Operand
from ..core.device import TYPES, device
from ..core.hardware import STATIC_BYTES
from ..core.index import at, u32, wrapped
from .geometry import Convolution

QUAD = 4  # elements of a line in shared memory that are loaded together
SUMS = 48  # registers for the sums of a thread, at most; 512 threads can have 128 in all
THREADS = (128, 256, 512)  # of a block, about
WINNERS = 32  # positions of a pool's window, at most
STAGED_BYTES = STATIC_BYTES - 16  # of shared memory, without the flag for infinities and NaN
LATENCY = 900  # cycles that memory, then a barrier, take
WAIT = 30  # cycles for shared memory


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
    has_pool, n_bytes = conv.winners is not None, conv.mask_bytes
    first_byte = at(conv.winners, 4) if conv.winners else at_y
    byte_of = mask_byte(conv.winners) if conv.winners else at_y
    of_none = conv.winners.base if conv.winners else 0  # an element that exists

    def read(p: Any, n: Any, o: Any, h: Any, w: Any, exists: Any) -> Any:
        value = p[1][at_y(n, o, h, w) if exists else u32(0)]
        mask = u32(1)
        if has_pool:
            first = first_byte(n, o, h, w) if exists else u32(of_none)
            mask = u32(0)
            for k in range(n_bytes):
                mask = mask | byte_of(p[2], first, k) << 8 * k
        return value if exists else zero, mask

    return device(read)


def mask_byte(winners: Operand) -> Function:
    """`byte_of(p, first, k)`: byte k of a window's mask, whose first byte is at `first`."""
    step = wrapped(winners.strides[4])

    def byte_of(p: Any, first: Any, k: Any) -> Any:
        return u32(p[first + k * step])

    return device(byte_of)
