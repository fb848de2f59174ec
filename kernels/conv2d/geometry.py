"""The sizes of a forward convolution, and the indices of its elements."""

from __future__ import annotations

from math import nan
from typing import Any, NamedTuple

from ..core.call import Call, Function, Operand
from ..core.device import TYPES, device, uint32, uint64
from ..core.integers import ceil_div

Pair = tuple[int, int]


class Convolution(NamedTuple):
    """A forward call of contract conv2d, conv2d_pool or conv2d_bias_pool.

    x (images, channels, *image), w (filters, channels, *kernel): operands; if filters are flipped,
    the strides of w are. pool: positions of a window, (1, 1) without a pool. pooled: windows.
    has_winners: whether their bit mask is output 1. bias (filters,): added to every position
    before the pool; None without one. first_only: whether only the first winner of a window is set.
    """

    x: Operand
    w: Operand
    stride: Pair
    padding: Pair
    pool: Pair
    pooled: Pair
    has_winners: bool
    bias: Operand | None = None
    first_only: bool = False

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
        """Weights of a filter and channel."""
        return self.w.shape[2] * self.w.shape[3]

    @property
    def positions(self) -> int:
        """Positions of a window."""
        return self.pool[0] * self.pool[1]

    @property
    def mask_bytes(self) -> int:
        """Bytes of a window's winners."""
        return ceil_div(self.positions, 8)

    @property
    def words(self) -> int:
        """4-byte words of an element."""
        return 2 if self.x.dtype == "float64" else 1

    @property
    def size(self) -> int:
        """Elements of the output."""
        return self.images * self.filters * self.pooled[0] * self.pooled[1]


def convolution(call: Call) -> Convolution:
    """The convolution of a call."""
    x, w = call.inputs[:2]
    params = call.params
    y = call.outputs[0].shape
    return Convolution(
        x,
        flipped(w) if params["flip"] else w,
        tuple(params["stride"]),
        tuple(params["padding"]),
        tuple(params.get("pool", (1, 1))),
        (y[2], y[3]),
        len(call.outputs) > 1,
        call.inputs[2] if call.kernel == "conv2d_bias_pool" else None,
        bool(params.get("first")),
    )


def flipped(w: Operand) -> Operand:
    """Filters flipped along both axes: the same elements with negative strides."""
    if w.size == 0:
        return w
    base, strides = w.base, list(w.strides)
    for axis in (2, 3):
        base += (w.shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return w._replace(base=base, strides=tuple(strides))


def wrapped(n: int) -> int:
    """n modulo 2**32, for index arithmetic in uint32 with negative numbers."""
    return n & 0xFFFFFFFF


def place(operand: Operand) -> Function:
    """`at(a, b, c, d)`: the index of an element of an operand with four axes, from its pointer."""
    base = wrapped(operand.base)
    s0, s1, s2, s3 = map(wrapped, operand.strides)

    @device
    def at(a: Any, b: Any, c: Any, d: Any) -> Any:
        i = uint32(uint32(base) + uint32(a * uint32(s0)))
        i = uint32(i + uint32(b * uint32(s1)))
        i = uint32(i + uint32(c * uint32(s2)))
        return uint64(uint32(i + uint32(d * uint32(s3))))

    return at


def bias_of_filter(conv: Convolution) -> tuple[Function, Function]:
    """`bias_at(o, p)`: the bias of filter o, or of the last one where there is no filter o; and
    `with_bias(value, bias)`: the sum. Without a bias the value stays as it is, also where it is -0.
    """
    dtype = scalar_type(conv)
    if conv.bias is None:

        @device
        def nothing(o: Any, p: Any) -> Any:
            return dtype(0)

        @device
        def unchanged(value: Any, bias: Any) -> Any:
            return value

        return nothing, unchanged

    base, (step,), last = wrapped(conv.bias.base), map(wrapped, conv.bias.strides), conv.filters - 1

    @device
    def bias_at(o: Any, p: Any) -> Any:
        i = min(uint32(o), uint32(last))
        return p[2][uint64(uint32(uint32(base) + uint32(i * uint32(step))))]

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
    positions, dtype, first_only = conv.positions, scalar_type(conv), conv.first_only

    @device
    def max_and_mask(values: Any) -> Any:
        best = values[0]
        is_nan = best != best
        for k in range(1, positions):
            best = max(best, values[k])
            is_nan = is_nan or values[k] != values[k]
        mask = uint32(0)
        if is_nan:
            best = dtype(nan)
            for k in range(positions):
                bit = uint32(1) if values[k] != values[k] else uint32(0)
                mask = uint32(mask | uint32(bit << uint32(k)))
        else:
            for k in range(positions):
                bit = uint32(0) if values[k] < best else uint32(1)
                mask = uint32(mask | uint32(bit << uint32(k)))
        if first_only:  # there is a winner: the mask is not 0
            mask = uint32(mask & ~uint32(mask - uint32(1)))
        return best, mask

    return max_and_mask


def scalar_type(conv: Convolution) -> Any:
    """The type of the floats of a call."""
    return TYPES[conv.x.dtype]
