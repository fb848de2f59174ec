"""Layers of a reader's own: what they may lack, and how they are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    share_data,
    sigmoid,
)
from tinygrad_mnist.sharedvalue import shared


class NoPool(ConvPoolLayer):
    """A convolution without pooling: gives more values than its base class says."""

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        z = T.nnet.conv2d(inpt.reshape(self.image_shape), self.w)
        self.output = self.activation_fn(z + self.b.dimshuffle("x", 0, "x", "x"))
        self.output_dropout = self.output


class Centre:
    """A layer with no attribute but its output."""

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        self.output = inpt - inpt.mean(axis=1, keepdims=True)


class Halves:
    """Gives half of the values."""

    params: tuple[()] = ()

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        self.output = inpt[:, ::2]
        self.output_dropout = inpt_dropout[:, ::2]


def trains(net: Network, pixels: int) -> None:
    data = share_data(arrays((40, 8, 8), pixels=pixels))
    before = [p.get_value() for p in net.params]
    net.SGD(data[0], 1, 4, 0.1, data[1], data[2], 0.1, quiet=True)
    assert np.isfinite(net.history.costs).all()
    for old, param in zip(before, net.params, strict=True):
        assert not np.array_equal(old, param.get_value())


def test_a_convolution_without_pooling() -> None:
    conv = NoPool(filter_shape=(3, 1, 5, 5), image_shape=(4, 1, 8, 8))
    net = Network([conv, SoftmaxLayer(n_in=3 * 4 * 4, n_out=5)], 4)
    trains(net, 64)


def test_what_the_output_gives_counts() -> None:
    conv = NoPool(filter_shape=(3, 1, 5, 5), image_shape=(4, 1, 8, 8))
    message = r"layer 1 \(SoftmaxLayer\) takes 12 values, the layer before gives 48"
    with pytest.raises(ValueError, match=message):
        Network([conv, SoftmaxLayer(n_in=3 * 2 * 2, n_out=5)], 4)


@pytest.mark.parametrize("n_in", [5, 6, 7, 12])
def test_between_the_books_layers(n_in: int) -> None:
    layers = [FullyConnectedLayer(12, 12), Centre(), Halves(), SoftmaxLayer(n_in, 5)]
    if n_in == 6:
        trains(Network(layers, 4), 12)
    else:
        with pytest.raises(ValueError, match=rf"layer 3 .* takes {n_in} values, .* gives 6"):
            Network(layers, 4)


def test_a_first_layer_without_a_size() -> None:
    trains(Network([Centre(), SoftmaxLayer(12, 5)], 4), 12)


def test_a_layer_without_output_is_named() -> None:
    class Nothing:
        def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
            pass

    with pytest.raises(
        TypeError, match=r"layer 1 \(Nothing\) has None as `output` after its set_i"
    ):
        Network([FullyConnectedLayer(12, 12), Nothing(), SoftmaxLayer(12, 5)], 4)


def test_shapes_inside_a_layer_are_checked_when_it_is_connected() -> None:
    class Adds:
        def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
            self.output = inpt + T.as_tensor_variable(np.zeros((4, 7), config.floatX))

    with pytest.raises(ValueError, match=r"(?s)7.*test_own_layers.py"):
        Network([FullyConnectedLayer(12, 12), Adds(), SoftmaxLayer(12, 5)], 4)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (
            ConvPoolLayer((20, 1, 5, 5), (10, 1, 28, 28)),
            "ConvPoolLayer(filter_shape=(20, 1, 5, 5), image_shape=(10, 1, 28, 28))",
        ),
        (
            ConvPoolLayer([2, 1, 3, 3], [4, 1, 8, 8], (1, 2), ReLU),
            "ConvPoolLayer(filter_shape=(2, 1, 3, 3), image_shape=(4, 1, 8, 8), poolsize=(1, 2),"
            " activation_fn=ReLU)",
        ),
        (FullyConnectedLayer(3, 4, sigmoid), "FullyConnectedLayer(n_in=3, n_out=4)"),
        (SoftmaxLayer(3, 4, 0.5), "SoftmaxLayer(n_in=3, n_out=4, p_dropout=0.5)"),
    ],
)
def test_layers_are_shown_as_they_are_made(layer: Any, text: str) -> None:
    assert repr(layer) == text
    net = Network([FullyConnectedLayer(2, 3), SoftmaxLayer(3, 4)], 10)
    assert repr(net) == (
        "Network([FullyConnectedLayer(n_in=2, n_out=3), SoftmaxLayer(n_in=3, n_out=4)], 10)"
    )


class Late:
    """Makes its parameter when it is connected."""

    def __init__(self, n: int) -> None:
        self.n = n

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        self.scale = shared(np.ones(self.n, config.floatX))
        self.params = [self.scale]
        self.output = inpt * self.scale
        self.output_dropout = inpt_dropout * self.scale


class Distance:
    """A last layer that guesses a number: its accuracy is negative, and it has no y_out."""

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        self.output = inpt.mean(axis=1)

    def cost(self, net: Network) -> Any:
        return T.mean((self.output - net.y) ** 2)

    def accuracy(self, y: Any) -> Any:
        return -T.mean((self.output - y) ** 2)


def test_parameters_that_are_made_when_a_layer_is_connected() -> None:
    net = Network([Late(12), SoftmaxLayer(12, 5)], 4)
    assert [p.name for p in net.params] == ["late1.scale", "softmax.w", "softmax.b"]
    trains(net, 12)


def test_a_negative_accuracy_has_a_best_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    data = share_data(arrays((40, 8, 8)))
    net = Network([FullyConnectedLayer(12, 3), Distance()], 4, seed=None)
    history = net.SGD(data[0], 3, 4, 0.01, data[1], data[2])
    assert history.best_validation_accuracy == max(history.validation_accuracies) < 0
    assert history.test_accuracy is not None
    assert capsys.readouterr().out.splitlines()[-1].startswith("Corresponding test accuracy of -")
    with pytest.raises(TypeError, match="predict needs `y_out`"):
        net.predict(np.zeros(12))


@pytest.mark.parametrize("is_one", [True, False])
def test_layers_that_share_a_parameter(is_one: bool, tmp_path: Path) -> None:
    first = FullyConnectedLayer(12, 12)
    second = first if is_one else FullyConnectedLayer(12, 12)
    second.w = first.w
    second.params = [first.w, second.b]
    net = Network([first, second, SoftmaxLayer(12, 5)], 4, seed=1)
    net.save(tmp_path / "net")
    again = Network.load(tmp_path / "net")
    assert again.layers[0].w is again.layers[1].w
    for one in (net, again):
        trains(one, 12)
    np.testing.assert_array_equal(net.history.costs, again.history.costs)


@pytest.mark.parametrize("params", [5, [5], [T.vector("v")], T.vector("v")])
def test_what_are_no_parameters(params: Any) -> None:
    layer = Centre()
    layer.params = params  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="a layer of class Centre has "):
        Network([layer, SoftmaxLayer(12, 5)], 4)


@pytest.mark.parametrize("n_in", [11, 13])
def test_images_are_checked_before_the_first_step(n_in: int) -> None:
    net = Network([Centre(), SoftmaxLayer(n_in, 5)], 4)
    data = share_data(arrays((40, 8, 8)))
    with pytest.raises(ValueError, match=rf"\(4, 12\) can't be reshaped to \(4, {n_in}\)"):
        net.SGD(data[0], 1, 4, 0.1, data[1], data[2])


def test_layers_without_a_repr_are_shown_by_their_class() -> None:
    assert repr(Network([Centre(), SoftmaxLayer(2, 3)], 4)) == (
        "Network([<Centre>, SoftmaxLayer(n_in=2, n_out=3)], 4)"
    )
