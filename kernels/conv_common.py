"""What the convolution's forward kernels share: the numbers of a call, and where elements are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .call import Call, Operand
from .device import TYPES, device, uint32, uint64

Function = Callable[..., Any]
Pair = tuple[int, int]


class Convolution(NamedTuple):
    """A forward call of contract conv2d or conv2d_pool.

    x (images, channels, *image), w (filters, channels, *kernel): operands; a flip of the filters is
    in w's strides. pool: a window's positions, (1, 1) without a pool. pooled: windows.
    has_winners: whether their bit mask is wanted, as output 1.
    """

    x: Operand
    w: Operand
    stride: Pair
    padding: Pair
    pool: Pair
    pooled: Pair
    has_winners: bool

    @property
    def images(self) -> int:
        return self.x.shape[0]

    @property
    def channels(self) -> int:
        return self.x.shape[1]

    @property
    def image(self) -> Pair:
        return self.x.shape[2], self.x.shape[3]

    @property
    def filters(self) -> int:
        return self.w.shape[0]

    @property
    def kernel(self) -> Pair:
        return self.w.shape[2], self.w.shape[3]

    @property
    def taps(self) -> int:
        """Positions of a filter, of one channel."""
        return self.w.shape[2] * self.w.shape[3]

    @property
    def positions(self) -> int:
        """Positions of a window."""
        return self.pool[0] * self.pool[1]

    @property
    def mask_bytes(self) -> int:
        """Bytes of a window's winners."""
        return -(-self.positions // 8)

    @property
    def words(self) -> int:
        """4-byte words of an element."""
        return 2 if self.x.dtype == "float64" else 1

    @property
    def size(self) -> int:
        """Elements of the output."""
        return self.images * self.filters * self.pooled[0] * self.pooled[1]


def convolution(call: Call) -> Convolution:
    """The numbers of a call."""
    x, w = call.inputs[:2]
    params = call.params
    y = call.outputs[0].shape
    return Convolution(
        x,
        turned(w) if params["flip"] else w,
        tuple(params["stride"]),
        tuple(params["padding"]),
        tuple(params.get("pool", (1, 1))),
        (y[2], y[3]),
        len(call.outputs) > 1,
    )


def turned(w: Operand) -> Operand:
    """Filters turned in both axes: the same elements, strides the other way."""
    if w.size == 0:
        return w
    base, strides = w.base, list(w.strides)
    for axis in (2, 3):
        base += (w.shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return w._replace(base=base, strides=tuple(strides))


def wrapped(n: int) -> int:
    """n modulo 2**32, so that index arithmetic in uint32 is right for negative numbers too."""
    return n & 0xFFFFFFFF


def place(operand: Operand) -> Function:
    """`place(a, b, c, d)`: where element (a, b, c, d) of an operand with four axes is."""
    base = wrapped(operand.base)
    s0, s1, s2, s3 = map(wrapped, operand.strides)

    @device
    def at(a: Any, b: Any, c: Any, d: Any) -> Any:
        i = uint32(uint32(base) + uint32(a * uint32(s0)))
        i = uint32(i + uint32(b * uint32(s1)))
        i = uint32(i + uint32(c * uint32(s2)))
        return uint64(uint32(i + uint32(d * uint32(s3))))

    return at


def is_plain(operand: Operand, axes: Sequence[int]) -> bool:
    """Whether an operand's elements lie next to each other along these axes, the last ones."""
    expected = 1
    for axis in reversed(axes):
        if operand.shape[axis] != 1 and operand.strides[axis] != expected:
            return False
        expected *= operand.shape[axis]
    return True


def pool_of(conv: Convolution) -> tuple[Function, Function]:
    """`larger(value, best)` and `wins(value, best)`: the maximum of a window, and who has it.

    A NaN is larger than everything; and where there are some, they win.
    """

    @device
    def larger(value: Any, best: Any) -> Any:
        return value if value > best or value != value else best

    @device
    def wins(value: Any, best: Any) -> Any:
        return uint32(1) if value == best or value != value else uint32(0)

    return larger, wins


def scalar_type(conv: Convolution) -> Any:
    """The type of the floats of a call."""
    return TYPES[conv.x.dtype]
