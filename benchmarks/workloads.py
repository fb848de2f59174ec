"""What is timed: nets, a row each, at some mini-batch size, and the weights that all start from.

A workload is written `W3`, `W3@128` (mini-batch size), `W3-infer@10` (forward only) or `W4-nodrop`
(trained without its dropout, so that all frameworks must come to the same costs).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

IMAGE = (1, 28, 28)  # maps, height, width
PIXELS = math.prod(IMAGE)
CLASSES = 10
Shape = tuple[int, ...]
Array = NDArray[np.float32]
Parameters = tuple[Array, ...]


@dataclass(frozen=True)
class Conv:
    """A cross-correlation, max-pooling, bias or batch normalisation, activation.

    padding: zeros on each of the four sides. For 28, 14 or 7 pixels, filters of 3 x 3 with one and
    filters of 6 x 6 at stride 2 with two are what TensorFlow calls SAME. An incomplete last window
    of the pool is dropped. pools_last: bias and activation come before the pooling, as tutorials
    have it; else each framework takes the order that it is faster in: both are increasing, so the
    values are the same. normalise: as `Dense` has it; never together with a pool here.
    """

    maps: int
    size: int
    activation: str
    pool: int = 2
    stride: int = 1
    padding: int = 0
    normalise: bool = False
    pools_last: bool = False

    @property
    def first_pool(self) -> int:
        """The pool right behind the convolution; 1: there is none."""
        return 1 if self.pools_last else self.pool

    @property
    def last_pool(self) -> int:
        """The pool behind the activation; 1: there is none."""
        return self.pool if self.pools_last else 1

    def places(self, side: int) -> int:
        """Positions of the filter along a side of so many pixels."""
        return (side + 2 * self.padding - self.size) // self.stride + 1


@dataclass(frozen=True)
class Dense:
    """activation(x w + b); the last layer's activation is the cost's softmax.

    dropout: rate at which inputs are zeroed in training; those left are divided by 1 - dropout.
    normalise: by the batch's own mean and variance, then scaled and shifted by learnt numbers; the
    shift takes the bias's place. Running averages of both are kept, as for use after training.
    """

    units: int
    activation: str | None = None
    dropout: float = 0.0
    normalise: bool = False


Layer = Conv | Dense
EPSILON = 1e-5  # beside a variance
AVERAGING = 0.1  # weight of a batch's mean and variance in the running ones


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba, 2014: w -= rate * m' / (sqrt(v') + epsilon), where m' = m / (1 - beta1^t) and
    v' = v / (1 - beta2^t)."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Net:
    """A net and the step that trains it.

    rate: learning rate. decay: of weights, not of biases: w -= rate * (gradient + decay * w).
    adam: in place of plain SGD; there is no decay then.
    """

    summary: str
    layers: tuple[Layer, ...]
    batch: int
    rate: float
    decay: float = 0.0
    adam: Adam | None = None

    def walk(self) -> Iterator[tuple[Layer, Shape, Shape]]:
        """Each layer with the shape of an image before and behind it, (maps, h, w) or (units,)."""
        shape: Shape = IMAGE
        for layer in self.layers:
            before = shape
            if isinstance(layer, Conv):
                side = layer.places(before[1]) // layer.pool
                shape = (layer.maps, side, side)
            else:
                before = (math.prod(before),)
                shape = (layer.units,)
            yield layer, before, shape


def _conv2(*dense: Dense) -> tuple[Layer, ...]:
    return (Conv(20, 5, "relu"), Conv(40, 5, "relu"), *dense)


def _two_64(pools_last: bool) -> tuple[Layer, ...]:
    conv = Conv(64, 3, "relu", pools_last=pools_last)
    return (conv, conv, Dense(128, "relu"), Dense(10))


def _same(maps: int, pool: int = 1) -> Conv:
    return Conv(maps, 3, "relu", pool, padding=1)


def _normalised(maps: int, size: int, stride: int, padding: int) -> Conv:
    return Conv(maps, size, "relu", 1, stride, padding, normalise=True)


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
    "W5": Net(
        "conv 64, conv 64, 128, ReLU, Adam", _two_64(pools_last=False), 32, 0.001, adam=Adam()
    ),
    "W5-relu-pool": Net(
        "conv 64, conv 64, each with ReLU, then a pool, 128, Adam",
        _two_64(pools_last=True),
        32,
        0.001,
        adam=Adam(),
    ),
    "W6": Net(
        "conv 12, conv 24, conv 32, 200, batch normalisation, ReLU, dropout, Adam",
        (
            _normalised(12, 3, 1, 1),
            _normalised(24, 6, 2, 2),
            _normalised(32, 6, 2, 2),
            Dense(200, "relu", normalise=True),
            Dense(10, None, 0.3),
        ),
        64,
        0.001,
        adam=Adam(),
    ),
    "W7": Net(
        "convs 64, 64, 128, 128, 256, 256; 512, 128, ReLU, Adam",
        (
            *(layer for n in (64, 128, 256) for layer in (_same(n), _same(n, 2))),
            *(Dense(512, "relu"), Dense(128, "relu"), Dense(10)),
        ),
        128,
        0.001,
        adam=Adam(),
    ),
}

DEFAULT = (
    *("W1", "W2", "W3", "W4", "W3@128", "W3@1000", "W5", "W5-relu-pool", "W6", "W7"),
    *("W3-infer@1", "W3-infer@10", "W3-infer@1000"),
)
#: On a GPU, the first first: what time does not suffice for is left out.
DEFAULT_CUDA = ("W3", "W3@10000", "W1", "W4", "W2", "W3@128", "W3@1000")
QUICK = ("W1", "W3")
INFER, NO_DROPOUT = "-infer", "-nodrop"


@dataclass(frozen=True)
class Workload:
    """A net at a mini-batch size, trained, trained without dropout, or only evaluated."""

    net_name: str
    batch: int
    kind: str = ""

    @property
    def name(self) -> str:
        usual = self.batch == self.net.batch and not self.infer
        return self.net_name + self.kind + ("" if usual else f"@{self.batch}")

    @property
    def net(self) -> Net:
        return NETS[self.net_name]

    @property
    def infer(self) -> bool:
        return self.kind == INFER

    @property
    def is_random(self) -> bool:
        """Whether a step draws random numbers, which differ from framework to framework."""
        dense = [layer for layer in self.net.layers if isinstance(layer, Dense)]
        return not self.kind and any(layer.dropout for layer in dense)

    @property
    def without_dropout(self) -> Workload:
        return replace(self, kind=NO_DROPOUT)

    @property
    def flops(self) -> int:
        """Useful FLOPs of a step: multiplications and additions of convolutions and products,
        counted densely; a layer's gradients cost what it costs, once each, but the first layer
        needs none of its input.
        """
        total = 0
        for number, (layer, before, after) in enumerate(self.net.walk()):
            if isinstance(layer, Conv):
                places = layer.places(before[1]) ** 2
                forward = 2 * places * layer.maps * before[0] * layer.size**2
            else:
                forward = 2 * before[0] * after[0]
            passes = 1 if self.infer else 2 if number == 0 else 3
            total += passes * forward
        return total * self.batch


def parse(text: str) -> Workload:
    """The workload of a name such as W3, W5-relu-pool, W3@128, W3-infer@10. Raises ValueError for
    others."""
    name, at, batch = text.partition("@")
    kind = next((k for k in (INFER, NO_DROPOUT) if name.endswith(k)), "")
    net = name.removesuffix(kind)
    if net not in NETS or (at and not (batch.isdecimal() and int(batch))):
        raise ValueError(
            f"no workload {text!r}: a net ({', '.join(NETS)}), then {INFER} for the forward pass "
            f"alone or {NO_DROPOUT}, then @ and a mini-batch size, as in W3{INFER}@1000"
        )
    if kind == INFER and any(layer.normalise for layer in NETS[net].layers):
        raise ValueError(f"no workload {text!r}: nets that normalise are only trained")
    return Workload(net, int(batch) if at else NETS[net].batch, kind)


def initial_parameters(net: Net) -> list[Parameters]:
    """(w, b) of each layer, or (w, shift, scale) where it normalises; the same for all frameworks:
    w ~ N(0, 2 / fan-in), b = shift = 0, scale = 1.

    w of a convolution: (maps, maps before, size, size); of a dense layer: (inputs, units), where
    images are flattened channels first.
    """
    rng = np.random.default_rng(0)
    parameters: list[Parameters] = []
    for layer, before, after in net.walk():
        if isinstance(layer, Conv):
            shape: Shape = (layer.maps, before[0], layer.size, layer.size)
            fan_in = before[0] * layer.size**2
        else:
            shape = (before[0], after[0])
            fan_in = before[0]
        w = (rng.standard_normal(shape) * math.sqrt(2 / fan_in)).astype(np.float32)
        b = np.zeros(after[0], np.float32)
        parameters.append((w, b, np.ones_like(b)) if layer.normalise else (w, b))
    return parameters


def initial_averages(net: Net) -> list[Parameters]:
    """The running mean and variance of each layer that normalises, () for the others."""
    return [
        (np.zeros(after[0], np.float32), np.ones(after[0], np.float32)) if layer.normalise else ()
        for layer, _, after in net.walk()
    ]


def channels_last(net: Net) -> list[Parameters]:
    """initial_parameters for images (height, width, maps): filters are (size, size, maps before,
    maps), and the rows of a dense layer behind a convolution come in that order.
    """
    parameters = []
    image: Shape = IMAGE
    for (_, _, after), (w, *others) in zip(net.walk(), initial_parameters(net), strict=True):
        if w.ndim == 4:
            w = w.transpose(2, 3, 1, 0)
        elif len(image) == 3:
            w = w.reshape(*image, -1).transpose(1, 2, 0, 3).reshape(w.shape)
        parameters.append((np.ascontiguousarray(w), *others))
        image = after
    return parameters
