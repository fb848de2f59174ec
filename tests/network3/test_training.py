"""Training against NumPy, and that it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.book_numpy import NumpyNet
from helpers.small_nets import arrays, numpy_twin, small_fc

from tinygrad_mnist import network3
from tinygrad_mnist.config import config
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    load_data_shared,
    share_data,
    sigmoid,
    tanh,
)
from tinygrad_mnist.sharedvalue import shared


def check_training(
    net: Network, twin: NumpyNet, data: list[Any], eta: float, lmbda: float, rtol: float
) -> None:
    """Two epochs: every cost, then every weight, is that of the NumPy implementation."""
    batch = net.mini_batch_size
    (x, y), (vx, vy) = data[:2]
    batches = len(x) // batch
    training, validation, test = share_data(data)
    history = net.SGD(training, 2, batch, eta, validation, test, lmbda, quiet=True)
    costs, accuracies = [], []
    for _ in range(2):
        for k in range(batches):
            part = slice(k * batch, (k + 1) * batch)
            costs.append(twin.step(x[part], y[part], eta, lmbda, batches))
        accuracies.append(twin.accuracy(vx, vy, batch))
    np.testing.assert_allclose(history.costs, costs, rtol=rtol)
    assert history.validation_accuracies == pytest.approx(accuracies)
    for layer, other in zip(net.layers, twin.layers, strict=True):
        np.testing.assert_allclose(layer.w.get_value(), other.w, rtol=rtol, atol=rtol)
        np.testing.assert_allclose(layer.b.get_value(), other.b, rtol=rtol, atol=rtol)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("lmbda", [0.0, 0.3])
@pytest.mark.parametrize(("activation", "act"), [(sigmoid, "sigmoid"), (tanh, "tanh")])
def test_fully_connected_training_is_that_of_numpy(activation: Any, act: str, lmbda: float) -> None:
    net = Network([FullyConnectedLayer(12, 7, activation), SoftmaxLayer(7, 5)], 4, seed=1)
    twin = numpy_twin(net, (act, "linear"))
    check_training(net, twin, arrays((26, 9, 8)), 0.5, lmbda, 1e-11)


def bordered_images(
    sizes: Sequence[int], side: int, classes: int
) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Images with black borders and flat areas, as MNIST's, so that pool windows tie."""
    pairs = []
    for x, y in arrays(sizes, side * side, classes, seed=4):
        images = np.round(x).clip(0, 1).reshape(-1, side, side) / 2
        images[:, :4] = images[:, -3:] = images[:, :, :3] = images[:, :, -3:] = 0
        pairs.append((images.reshape(len(x), -1), y))
    return pairs


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("activation", "act"), [(sigmoid, "sigmoid"), (ReLU, "relu")])
@pytest.mark.parametrize("ties", [False, True])
def test_convolutional_training_is_that_of_numpy(activation: Any, act: str, ties: bool) -> None:
    layers = [
        ConvPoolLayer((3, 1, 3, 4), (4, 1, 15, 15), (2, 2), activation),
        ConvPoolLayer((4, 3, 2, 2), (4, 3, 6, 6), (2, 1), activation),
        FullyConnectedLayer(4 * 2 * 5, 6, activation),
        SoftmaxLayer(6, 3),
    ]
    net = Network(layers, 4, seed=2)
    twin = numpy_twin(net, (act, act, act, "linear"))
    data = bordered_images((21, 8, 8), 15, 3) if ties else arrays((21, 8, 8), 225, 3)
    check_training(net, twin, data, 0.1, 0.2, 1e-10)


def test_float32_training_is_near_that_of_numpy() -> None:
    net = Network([FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)], 4, seed=1)
    twin = numpy_twin(net, ("sigmoid", "linear"))
    check_training(net, twin, arrays((26, 9, 8)), 0.5, 0.3, 2e-5)


def dropout_net() -> Network:
    """A convolutional net with dropout and ReLU, for images of 12 x 12 and 4 classes."""
    layers = [
        ConvPoolLayer((3, 1, 3, 3), (5, 1, 12, 12), activation_fn=ReLU),
        FullyConnectedLayer(75, 20, ReLU, p_dropout=0.5),
        SoftmaxLayer(20, 4, p_dropout=0.5),
    ]
    return Network(layers, 5, seed=3)


def costs_of_dropout_net() -> np.ndarray[Any, Any]:
    data = share_data(arrays((100, 10, 10), 144, 4))
    return dropout_net().SGD(data[0], 2, 5, 0.05, data[1], data[2], 0.1, quiet=True).costs


@pytest.mark.usefixtures("float64")
def test_both_backends_give_the_same_costs() -> None:
    costs = []
    for device in ("cpu", "reference"):
        config.device = device
        costs.append(costs_of_dropout_net())
    assert costs[0].shape == (40,)
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-10)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    costs = []
    for threads in (1, 2, 3):
        config.threads = threads
        costs.append(costs_of_dropout_net())
    np.testing.assert_array_equal(costs[0], costs[1])
    np.testing.assert_array_equal(costs[0], costs[2])


def test_training_with_dropout_repeats() -> None:
    def costs() -> np.ndarray[Any, Any]:
        net = Network([FullyConnectedLayer(12, 30), SoftmaxLayer(30, 5, 0.5)], 4, seed=1)
        data = share_data(arrays((40, 8, 8)))
        return net.SGD(data[0], 3, 4, 0.5, data[1], data[2], quiet=True).costs

    first = costs()
    np.testing.assert_array_equal(first, costs())
    assert np.isfinite(first).all()


@pytest.mark.usefixtures("float64")
def test_a_confident_mistake_has_a_finite_cost_and_gradient() -> None:
    net = Network([SoftmaxLayer(2, 3)], 2)
    net.layers[0].w.set_value(np.array([[2000.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    pair = share_data([(np.ones((2, 2)), np.array([1, 0]))])[0]
    history = net.SGD(pair, 1, 2, 1.0, pair, pair, quiet=True)
    assert history.costs.tolist() == [1000.0]
    np.testing.assert_allclose(
        net.layers[0].w.get_value(), [[1999.5, 0.5, 0.0], [-0.5, 0.5, 0.0]], atol=1e-12
    )


def test_eta_may_be_a_shared_scalar() -> None:
    data = share_data(arrays((40, 8, 8)))
    eta = shared(np.asarray(0.5, config.floatX), name="eta")
    a, b = small_fc(), small_fc()
    for p, q in zip(a.params, b.params, strict=True):
        q.set_value(p.get_value())
    first = a.SGD(data[0], 2, 4, eta, data[1], data[2], quiet=True)
    second = b.SGD(data[0], 2, 4, 0.5, data[1], data[2], quiet=True)
    np.testing.assert_allclose(first.costs, second.costs, rtol=1e-5)
    eta.set_value(np.asarray(0, config.floatX))
    before = a.params[0].get_value()
    a.train_mb(0)
    np.testing.assert_array_equal(a.params[0].get_value(), before)


@pytest.mark.parametrize("eta", [np.float64(0.5), np.float32(0.5), 1, shared(0.5)])
def test_a_rate_of_any_float_type_leaves_float32(eta: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", "float32")
    layer = network3.SoftmaxLayer(n_in=4, n_out=2)
    net = network3.Network([layer], 2)
    pixels, labels = np.arange(16.0).reshape(4, 4), np.array([0, 1, 1, 0])
    (data,) = network3.share_data([(pixels, labels)])
    net.SGD(data, 1, 2, eta, data, data, lmbda=np.float64(0.1), quiet=True)
    assert layer.w.get_value().dtype == np.float32
    assert np.abs(layer.w.get_value()).max() > 0


def test_a_small_convolutional_net_learns() -> None:
    pairs = arrays((600, 100, 100), 144, 5)
    layers = [
        ConvPoolLayer((4, 1, 3, 3), (10, 1, 12, 12), activation_fn=ReLU),
        FullyConnectedLayer(100, 20, ReLU),
        SoftmaxLayer(20, 5),
    ]
    data = share_data(pairs)
    history = Network(layers, 10, seed=1).SGD(
        data[0], 5, 10, 0.05, data[1], data[2], 0.1, quiet=True
    )
    assert history.costs[:10].mean() > 1
    assert history.costs[-60:].mean() < 0.3
    assert history.test_accuracy is not None
    assert history.test_accuracy > 0.95


def test_one_epoch_on_real_digits(mnist_path: Path) -> None:
    data = load_data_shared(mnist_path)
    net = Network([FullyConnectedLayer(784, 100), SoftmaxLayer(100, 10)], 10, seed=1)
    history = net.SGD(data[0], 1, 10, 0.1, data[1], data[2], quiet=True)
    assert history.costs.shape == (5000,)
    assert history.costs[0] == pytest.approx(np.log(10), rel=1e-5)
    assert history.best_validation_accuracy > 0.9
