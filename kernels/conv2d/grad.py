"""Sizes, indices and unpooled gradients, for the kernels of convolutions' gradients.

A *position* is one of the filter on the image, (oh, ow) of (OH, OW). Before a pool only the winners
of its windows have a gradient; otherwise all positions have.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Operand
from ..core.device import TYPES, device, uint32, uint64
from ..core.hardware import STATIC_BYTES

Pair = tuple[int, int]

QUAD = 4  # elements of a line in shared memory that are loaded together
SUMS = 48  # registers for the sums of a thread, at most; 512 threads can have 128 in all
THREADS = (128, 256, 512)  # of a block, about
WINNERS = 32  # positions of a pool's window, at most
STAGED_BYTES = STATIC_BYTES - 16  # of shared memory, without the flag for infinities and NaN
LATENCY = 900  # cycles that memory, then a barrier, take
WAIT = 30  # cycles for shared memory


class Sizes(NamedTuple):
    """A convolution of x (n, c, *image) by filters (o, c, *kernel), and the pool after it.

    used: positions that windows cover, or all. windows, pool: the number of windows and their size;
    without a pool, every position is a window.
    """

    dtype: str
    n: int
    c: int
    image: Pair
    o: int
    kernel: Pair
    used: Pair
    windows: Pair
    pool: Pair
    pooled: bool
    stride: Pair
    padding: Pair
    flip: bool

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return 8 if self.dtype == "float64" else 4


def sizes(call: Call, x: Operand, w: Operand, g: Operand) -> Sizes:
    """The sizes of a call. x, w, g: operands; one of x and w is the output."""
    n, c, *image = x.shape
    o, _, *kernel = w.shape
    pooled = "pool" in call.params
    pool = call.params["pool"] if pooled else (1, 1)
    stride, padding = call.params["stride"], call.params["padding"]
    windows = (g.shape[2], g.shape[3])
    return Sizes(
        x.dtype,
        n,
        c,
        (image[0], image[1]),
        o,
        (kernel[0], kernel[1]),
        (windows[0] * pool[0], windows[1] * pool[1]),
        windows,
        (pool[0], pool[1]),
        pooled,
        (stride[0], stride[1]),
        (padding[0], padding[1]),
        bool(call.params["flip"]),
    )


def locator(operand: Operand) -> Function:
    """`locate(i, j, k, l)`: the index of an element of an operand with four axes, from its pointer.

    For winners, which have a fifth axis, it is the index of a window's first byte.
    """
    s0, s1, s2, s3 = (abs(s) for s in operand.strides[:4])
    n0, n1, n2, n3 = (n - 1 for n in operand.shape[:4])
    r0, r1, r2, r3 = (s < 0 for s in operand.strides[:4])  # reversed axes
    lowest = operand.base
    for length, stride in zip(operand.shape, operand.strides, strict=True):
        lowest += min(0, (length - 1) * stride)
    base = max(0, lowest)  # not used for an empty operand

    def locate(i: Any, j: Any, k: Any, m: Any) -> Any:
        a = uint32(n0 - i) if r0 else uint32(i)
        b = uint32(n1 - j) if r1 else uint32(j)
        c = uint32(n2 - k) if r2 else uint32(k)
        d = uint32(n3 - m) if r3 else uint32(m)
        place = uint32(a * uint32(s0)) + uint32(b * uint32(s1))
        return uint32(place + uint32(c * uint32(s2)) + uint32(d * uint32(s3)) + uint32(base))

    return device(locate)


def unpooled(s: Sizes, g: Operand, winners: Operand | None, first: int) -> Function:
    """`gradient(p, n, o, oh, ow)`: the gradient of a position inside `s.used`.

    first: number of operand g; winners come after it.
    """
    zero = TYPES[s.dtype](0)
    at_g = locator(g)
    if winners is None:

        def plain(p: Any, n: Any, o: Any, oh: Any, ow: Any) -> Any:
            return p[first][uint64(at_g(n, o, oh, ow))]

        return device(plain)
    at_winners = locator(winners)
    byte_of = mask_byte(winners)
    pool_h, pool_w = s.pool
    second = first + 1

    def behind_pool(p: Any, n: Any, o: Any, oh: Any, ow: Any) -> Any:
        h, w = uint32(oh // uint32(pool_h)), uint32(ow // uint32(pool_w))
        bit = uint32(uint32(oh % uint32(pool_h)) * uint32(pool_w) + uint32(ow % uint32(pool_w)))
        byte = byte_of(p[second], at_winners(n, o, h, w), uint32(bit // uint32(8)))
        won = uint32(byte >> uint32(bit % uint32(8))) & uint32(1)
        return p[first][uint64(at_g(n, o, h, w))] if won != uint32(0) else zero

    return device(behind_pool)


def mask_byte(winners: Operand) -> Function:
    """`byte_of(p, begin, byte)`: a byte of a window's mask, whose first byte is at `begin`."""
    stride = winners.strides[4]
    step, last = abs(stride), winners.shape[4] - 1
    backwards = stride < 0

    def byte_of(p: Any, begin: Any, byte: Any) -> Any:
        k = uint32(last - byte) if backwards else uint32(byte)
        return uint32(p[uint64(uint32(begin) + uint32(k * uint32(step)))])

    return device(byte_of)
