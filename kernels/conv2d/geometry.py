"""The sizes of a forward convolution, and the indices of its elements."""

from __future__ import annotations

from math import nan
from typing import Any, NamedTuple

from ..core.call import Call, Function, Operand
from ..core.device import TYPES, device
from ..core.index import at, u32
from ..core.integers import ceil_div

Pair = tuple[int, int]


class Convolution(NamedTuple):
    """A call of a convolution, or of one of its gradients.

    x (images, channels, *image), w (filters, channels, *kernel), y (images, filters, *pooled): the
    operands, one of which is the result; for a gradient, y is that of the output. w of a forward
    call lies as on the image: if filters are flipped, its strides are. pool: positions of a window,
    (1, 1) without a pool; then every position is a window. winners: the operand of their bit mask,
    or None. bias (filters,): added to every position before the pool; None without one. first_only:
    whether only the first winner of a window is set.
    """

    x: Operand
    w: Operand
    y: Operand
    stride: Pair
    padding: Pair
    flip: bool
    pool: Pair
    has_pool: bool
    winners: Operand | None = None
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
    def pooled(self) -> Pair:
        """Windows."""
        return self.y.shape[2], self.y.shape[3]

    @property
    def used(self) -> Pair:
        """Positions that windows cover, or all."""
        return self.pooled[0] * self.pool[0], self.pooled[1] * self.pool[1]

    @property
    def taps(self) -> int:
        """Weights of a filter and channel."""
        return self.w.shape[2] * self.w.shape[3]

    @property
    def positions(self) -> int:
        """Positions of a window."""
        return self.pool[0] * self.pool[1]

    @property
    def is_empty(self) -> bool:
        """Whether there is no position, or no image."""
        return 0 in (self.images, *self.used, *self.image)

    @property
    def mask_bytes(self) -> int:
        """Bytes of a window's winners."""
        return ceil_div(self.positions, 8)

    @property
    def dtype(self) -> str:
        """Of all floats."""
        return self.x.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return 4 * self.words

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return self.w.size * self.itemsize

    @property
    def words(self) -> int:
        """4-byte words of an element."""
        return 2 if self.x.dtype == "float64" else 1

    @property
    def size(self) -> int:
        """Elements of the output."""
        return self.images * self.filters * self.pooled[0] * self.pooled[1]


def convolution(call: Call, x: Operand, w: Operand, y: Operand) -> Convolution:
    """The convolution of a call, without what forward calls alone have."""
    params = call.params
    pool = params.get("pool")
    return Convolution(
        x,
        w,
        y,
        tuple(params["stride"]),
        tuple(params["padding"]),
        bool(params["flip"]),
        (1, 1) if pool is None else tuple(pool),
        pool is not None,
    )


def forward_convolution(call: Call) -> Convolution:
    """The convolution of a forward call."""
    x, w = call.inputs[:2]
    conv = convolution(call, x, w, call.outputs[0])
    return conv._replace(
        w=flipped(w) if conv.flip else w,
        winners=call.outputs[1] if len(call.outputs) > 1 else None,
        bias=call.inputs[2] if call.kernel == "conv2d_bias_pool" else None,
        first_only=bool(call.params.get("first")),
    )


def gradient_convolution(call: Call, result: str) -> Convolution:
    """The convolution of a gradient's call; result: "x" or "w", the operand that it is for."""
    factor, y, own = call.inputs[0], call.inputs[1], call.outputs[0]
    conv = convolution(call, *((own, factor) if result == "x" else (factor, own)), y)
    return conv._replace(winners=call.inputs[2] if conv.has_pool else None)


def flipped(w: Operand) -> Operand:
    """Filters flipped along both axes: the same elements with negative strides."""
    if w.size == 0:
        return w
    base, strides = w.base, list(w.strides)
    for axis in (2, 3):
        base += (w.shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return w._replace(base=base, strides=tuple(strides))


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
