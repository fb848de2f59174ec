"""Names of layers and of their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist import config, shared
from tinygrad_mnist.network3 import ConvPoolLayer, FullyConnectedLayer, Network, SoftmaxLayer
from tinygrad_mnist.training.labels import LayerLabels


class ScaleLayer:
    """A layer of the user's: one parameter without a name, one with a name."""

    def __init__(self) -> None:
        self.gamma = shared(np.ones(27, config.floatX))
        self.shift = shared(np.zeros(27, config.floatX), name="w")
        self.params = [self.gamma, self.shift]

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        flat = inpt.reshape((mini_batch_size, 27))
        self.output = self.output_dropout = flat * self.gamma + self.shift


class Frozen(ConvPoolLayer):
    """A kind of convolution."""


def names(net: Network) -> list[str | None]:
    return [param.name for param in net.params]


def test_parameters_are_named_by_layer() -> None:
    layers = [
        ConvPoolLayer((2, 1, 3, 3), (4, 1, 16, 16)),
        Frozen((3, 2, 2, 2), (4, 2, 7, 7)),
        ScaleLayer(),
        FullyConnectedLayer(27, 6),
        FullyConnectedLayer(6, 5),
        SoftmaxLayer(5, 3),
    ]
    assert [layers[0].w.name, layers[0].b.name] == ["w", "b"]
    layers[3].b.name = "my bias"
    net = Network(layers, 4)
    assert names(net) == [
        *("conv1.w", "conv1.b", "conv2.w", "conv2.b"),
        *("scale1.gamma", "w"),
        *("fc1.w", "my bias", "fc2.w", "fc2.b"),
        *("softmax.w", "softmax.b"),
    ]
    assert names(Network(layers, 4)) == names(net)


def test_several_softmax_layers_are_numbered() -> None:
    layers = [SoftmaxLayer(5, 4), SoftmaxLayer(4, 3)]
    assert names(Network(layers, 2)) == ["softmax1.w", "softmax1.b", "softmax2.w", "softmax2.b"]


def test_a_layer_may_have_no_attributes_and_no_parameters() -> None:
    class Flat:
        __slots__ = ("params",)

        def __init__(self) -> None:
            self.params: list[Any] = []

    unnamed = Flat()
    unnamed.params = [shared(np.ones(2))]
    labels = LayerLabels([Flat(), unnamed])
    assert unnamed.params[0].name == "flat2.0"
    with labels.inside(0):
        x = shared(np.ones(3)) * 2
    assert x.source is not None
    assert x.source.layer == "flat1 (network3 layer 0)"
