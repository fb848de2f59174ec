"""Pickled and copied layers and networks: they train on as the original would."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    share_data,
)

AGAIN = [
    *(pytest.param(lambda v, n=n: pickle.loads(pickle.dumps(v, n)), id=f"{n}") for n in (2, 5)),
    pytest.param(copy.deepcopy, id="deepcopy"),
]


def conv_net() -> Network:
    layers = [
        ConvPoolLayer((3, 1, 5, 5), (4, 1, 12, 12), activation_fn=T.tanh),
        FullyConnectedLayer(48, 6, ReLU, p_dropout=0.5),
        SoftmaxLayer(6, 5),
    ]
    return Network(layers, 4, seed=1)


@pytest.mark.parametrize("again", AGAIN)
def test_layers(again: Any) -> None:
    layer = FullyConnectedLayer(4, 3, T.nnet.sigmoid)
    one, other = again([layer, layer])
    assert one is other
    assert one.params[0] is one.w
    assert one.activation_fn is layer.activation_fn
    np.testing.assert_array_equal(one.w.get_value(), layer.w.get_value())


@pytest.mark.parametrize("again", AGAIN)
def test_a_network_trains_on(again: Any) -> None:
    net = conv_net()
    data = arrays((16, 8, 8), pixels=144)
    net.SGD(share_data(data)[0], 1, 4, 0.1, *share_data(data)[1:], quiet=True)
    other = again(net)
    assert [p.name for p in other.params] == [p.name for p in net.params]
    for layer, own in zip(other.layers, net.layers, strict=True):
        assert all(a is b for a, b in zip(layer.params, (layer.w, layer.b), strict=True))
        assert layer.w is not own.w
    assert other.params[0] is other.layers[0].w
    np.testing.assert_array_equal(other.history.costs, net.history.costs)
    costs = []
    for each in (net, other):
        training, validation, test = share_data(data)
        costs.append(each.SGD(training, 2, 4, 0.1, validation, test, quiet=True).costs)
    np.testing.assert_array_equal(*costs)
    for a, b in zip(net.params, other.params, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())
