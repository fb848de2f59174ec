"""What is timed: nets, a row each, at some mini-batch size, and the weights that all start from.

A workload is written `W3`, `W3@128` (mini-batch size) or `W3-infer@10` (forward only).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IMAGE = (1, 28, 28)  # maps, height, width
PIXELS = math.prod(IMAGE)
CLASSES = 10
Shape = tuple[int, ...]
Weights = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Conv:
    """A valid cross-correlation of stride 1, max-pooling, bias, activation.

    Bias and activation may also come before the pooling: both are increasing, so the values are
    the same, and each framework takes the order that it is faster in.
    """

    maps: int
    size: int
    activation: str
    pool: int = 2


@dataclass(frozen=True)
class Dense:
    """activation(x w + b); the last layer's activation is the cost's softmax.

    dropout: rate at which inputs are zeroed in training; those left are divided by 1 - dropout.
    """

    units: int
    activation: str | None = None
    dropout: float = 0.0


Layer = Conv | Dense


@dataclass(frozen=True)
class Net:
    """A net and the step of plain SGD that trains it.

    rate: learning rate. decay: of weights, not of biases: w -= rate * (gradient + decay * w).
    """

    summary: str
    layers: tuple[Layer, ...]
    batch: int
    rate: float
    decay: float = 0.0

    def walk(self) -> Iterator[tuple[Layer, Shape, Shape]]:
        """Each layer with the shape of an image before and behind it, (maps, h, w) or (units,)."""
        shape: Shape = IMAGE
        for layer in self.layers:
            before = shape
            if isinstance(layer, Conv):
                side = (before[1] - layer.size + 1) // layer.pool
                shape = (layer.maps, side, side)
            else:
                before = (math.prod(before),)
                shape = (layer.units,)
            yield layer, before, shape


def _conv2(*dense: Dense) -> tuple[Layer, ...]:
    return (Conv(20, 5, "relu"), Conv(40, 5, "relu"), *dense)


#: The nets by name. L2 of 0.1 over 5,000 mini-batches is a decay of 2e-5.
NETS = {
    "W1": Net("784-100-10, sigmoid", (Dense(100, "sigmoid"), Dense(10)), 10, 0.1),
    "W2": Net(
        "conv 20, 100, sigmoid",
        (Conv(20, 5, "sigmoid"), Dense(100, "sigmoid"), Dense(10)),
        10,
        0.1,
    ),
    "W3": Net("conv 20, conv 40, 100, ReLU", _conv2(Dense(100, "relu"), Dense(10)), 10, 0.03, 2e-5),
    "W4": Net(
        "conv 20, conv 40, 1000, 1000, ReLU, dropout",
        _conv2(Dense(1000, "relu", 0.5), Dense(1000, "relu", 0.5), Dense(10, None, 0.5)),
        10,
        0.03,
    ),
}

DEFAULT = ("W1", "W2", "W3", "W4", "W3@128", "W3@1000")
#: On a GPU, the first first: what time does not suffice for is left out.
DEFAULT_CUDA = ("W3", "W3@10000", "W1", "W4", "W2", "W3@128", "W3@1000")
QUICK = ("W1", "W3")


@dataclass(frozen=True)
class Workload:
    """A net at a mini-batch size, trained or only evaluated."""

    net_name: str
    batch: int
    infer: bool = False

    @property
    def name(self) -> str:
        kind = f"{self.net_name}-infer" if self.infer else self.net_name
        return kind if self.batch == self.net.batch and not self.infer else f"{kind}@{self.batch}"

    @property
    def net(self) -> Net:
        return NETS[self.net_name]

    @property
    def is_random(self) -> bool:
        """Whether a step draws random numbers, which no two frameworks draw alike."""
        dense = [layer for layer in self.net.layers if isinstance(layer, Dense)]
        return not self.infer and any(layer.dropout for layer in dense)

    @property
    def flops(self) -> int:
        """Useful FLOPs of a step: multiplications and additions of convolutions and products,
        counted densely; a layer's gradients cost what it costs, once each, but the first layer
        needs none of its input.
        """
        total = 0
        for number, (layer, before, after) in enumerate(self.net.walk()):
            if isinstance(layer, Conv):
                places = (before[1] - layer.size + 1) ** 2
                forward = 2 * places * layer.maps * before[0] * layer.size**2
            else:
                forward = 2 * before[0] * after[0]
            passes = 1 if self.infer else 2 if number == 0 else 3
            total += passes * forward
        return total * self.batch


def parse(text: str) -> Workload:
    """The workload of a name such as W3, W3@128 or W3-infer@10. Raises ValueError for others."""
    kind, at, batch = text.partition("@")
    net = kind.removesuffix("-infer")
    if net not in NETS or (at and not (batch.isdecimal() and int(batch))):
        raise ValueError(
            f"no workload {text!r}: a net ({', '.join(NETS)}), then -infer for the forward pass "
            "alone, then @ and a mini-batch size, as in W3-infer@1000"
        )
    return Workload(net, int(batch) if at else NETS[net].batch, kind != net)


def initial_weights(net: Net) -> list[Weights]:
    """(w, b) of each layer, the same for all frameworks: w ~ N(0, 2 / fan-in), b = 0.

    w of a convolution: (maps, maps before, size, size); of a dense layer: (inputs, units), where
    images are flattened channels first.
    """
    rng = np.random.default_rng(0)
    weights = []
    for layer, before, after in net.walk():
        if isinstance(layer, Conv):
            shape: Shape = (layer.maps, before[0], layer.size, layer.size)
            fan_in = before[0] * layer.size**2
        else:
            shape = (before[0], after[0])
            fan_in = before[0]
        w = rng.standard_normal(shape) * math.sqrt(2 / fan_in)
        weights.append((w.astype(np.float32), np.zeros(shape[0 if len(shape) == 4 else 1], "f4")))
    return weights


def channels_last(net: Net) -> list[Weights]:
    """initial_weights for images (height, width, maps): filters are (size, size, maps before,
    maps), and the rows of a dense layer behind a convolution come in that order.
    """
    weights = []
    image: Shape = IMAGE
    for (_, _, after), (w, b) in zip(net.walk(), initial_weights(net), strict=True):
        if w.ndim == 4:
            w = w.transpose(2, 3, 1, 0)
        elif len(image) == 3:
            w = w.reshape(*image, -1).transpose(1, 2, 0, 3).reshape(w.shape)
        weights.append((np.ascontiguousarray(w), b))
        image = after
    return weights
