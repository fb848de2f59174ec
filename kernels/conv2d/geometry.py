"""The geometry of a convolution: one record for a call of it, or of one of its gradients."""

from __future__ import annotations

from typing import NamedTuple

from ..core.call import Call, Operand
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
    """The convolution of a forward call: a flip is in the strides of w, and `flip` is False."""
    x, w = call.inputs[:2]
    conv = convolution(call, x, w, call.outputs[0])
    return conv._replace(
        w=flipped(w) if conv.flip else w,
        flip=False,
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
