"""network3 against the rules of the book's program and an independent NumPy account of them."""

# ruff: noqa: NPY002 (the book draws from NumPy's global generator)

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.book_numpy import Conv, Dense, NumpyNet
from helpers.interrupts import output_after_interrupt
from helpers.small_mnist import small_arrays, write_idx_folder

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import network3
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets import load_digits, sources
from tinygrad_mnist.functions import function
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    linear,
    load_data_shared,
    share_data,
    sigmoid,
    tanh,
)
from tinygrad_mnist.sharedvalue import shared


@pytest.fixture(params=["float32", "float64"])
def each_float(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(config, "floatX", request.param)
    return str(request.param)


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", "float64")


def arrays(
    sizes: Sequence[int], pixels: int = 12, classes: int = 5, seed: int = 0, noise: float = 0.7
) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Images around one pattern per class, and the classes; one pair per size."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(0, 1, (classes, pixels))
    pairs = []
    for n in sizes:
        y = rng.integers(0, classes, n)
        pairs.append((patterns[y] + rng.normal(0, noise, (n, pixels)), y))
    return pairs


def small_fc(batch: int = 4, **options: Any) -> Network:
    return Network([FullyConnectedLayer(12, 7, **options), SoftmaxLayer(7, 5)], batch)


# Initial weights


def test_initial_weights_are_the_draws_of_numpys_generator(each_float: str) -> None:
    np.random.seed(3)
    layers = [
        ConvPoolLayer(filter_shape=(20, 1, 5, 5), image_shape=(10, 1, 28, 28)),
        ConvPoolLayer(filter_shape=(7, 20, 3, 5), image_shape=(10, 20, 12, 12), poolsize=(2, 4)),
        FullyConnectedLayer(n_in=7 * 5 * 2, n_out=100),
        SoftmaxLayer(n_in=100, n_out=10),
    ]
    rng = np.random.RandomState(3)
    expected = [
        rng.normal(0, np.sqrt(1 / (20 * 25 // 4)), (20, 1, 5, 5)),
        rng.normal(0, 1, 20),
        rng.normal(0, np.sqrt(1 / (7 * 15 // 8)), (7, 20, 3, 5)),
        rng.normal(0, 1, 7),
        rng.normal(0, np.sqrt(1 / 100), (70, 100)),
        rng.normal(0, 1, 100),
        np.zeros((100, 10)),
        np.zeros(10),
    ]
    params = Network(layers, 10).params
    assert len(params) == len(expected)
    for param, value in zip(params, expected, strict=True):
        assert param.get_value().dtype == each_float
        np.testing.assert_array_equal(param.get_value(), value.astype(each_float))
    assert np.random.normal() == rng.normal()


def test_seed_gives_the_weights_of_numpy_random_seed_and_leaves_the_generator() -> None:
    def layers() -> list[Any]:
        return [
            ConvPoolLayer(filter_shape=(2, 1, 3, 3), image_shape=(4, 1, 8, 8)),
            FullyConnectedLayer(18, 5),
            SoftmaxLayer(5, 3),
        ]

    np.random.seed(11)
    expected = Network(layers(), 4)
    np.random.seed(5)
    made = layers()
    state = np.random.get_state()[1].tolist()
    net = Network(made, 4, seed=11)
    assert np.random.get_state()[1].tolist() == state
    for a, b in zip(net.params, expected.params, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())


# One step, and many, against NumPy


def numpy_twin(net: Network, acts: Sequence[str]) -> NumpyNet:
    """The network's present weights in the NumPy implementation; the last one's act is linear."""
    twins: list[Conv | Dense] = []
    for layer, act in zip(net.layers, acts, strict=True):
        w, b = layer.w.get_value().astype(float), layer.b.get_value().astype(float)
        if isinstance(layer, ConvPoolLayer):
            twins.append(Conv(w, b, layer.poolsize, act, layer.image_shape[1:]))
        else:
            twins.append(Dense(w, b, act))
    return NumpyNet(twins)


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


def test_relu_and_linear() -> None:
    z = T.vector("z")
    value = np.array([-1, 0, 2], config.floatX)
    relu = function([z], [ReLU(z), T.grad(ReLU(z).sum(), z), linear(z)])
    for got, expected in zip(relu(value), ([0, 0, 2], [0, 0, 1], value), strict=True):
        np.testing.assert_array_equal(got, expected)


# Dropout


def test_dropout_masks_training_and_scales_inference() -> None:
    first = FullyConnectedLayer(40, 30, linear, p_dropout=0.3)
    second = FullyConnectedLayer(30, 30, linear, p_dropout=0.5)
    third = FullyConnectedLayer(30, 30, linear, p_dropout=0.5)
    net = Network([first, second, third, SoftmaxLayer(30, 4)], 20)
    x = np.random.default_rng(0).uniform(1, 2, (20, 40)).astype(config.floatX)
    masked = function(
        [net.x],
        [first.inpt_dropout, second.inpt_dropout, third.inpt_dropout, first.output],
    )
    a, b, c, inference = masked(x)
    assert set(np.unique(a / x)) == {0, 1}
    assert 0.62 < np.mean(a != 0) < 0.78
    assert 0.42 < np.mean(b != 0) < 0.58
    np.testing.assert_array_equal(b != 0, c != 0)  # equal shapes share their mask
    expected = 0.7 * (x @ first.w.get_value()) + first.b.get_value()
    np.testing.assert_allclose(inference, expected, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(masked(x)[0], a)  # another mask at the next step


def test_dropout_of_zero_is_no_dropout() -> None:
    x = T.matrix("x")
    assert network3.dropout_layer(x, 0.0) is x
    with pytest.raises(ValueError, match=r"p_dropout must be in 0\.\.1, not 1\.5"):
        FullyConnectedLayer(3, 4, p_dropout=1.5)


def test_training_with_dropout_repeats() -> None:
    def costs() -> np.ndarray[Any, Any]:
        net = Network([FullyConnectedLayer(12, 30), SoftmaxLayer(30, 5, 0.5)], 4, seed=1)
        data = share_data(arrays((40, 8, 8)))
        return net.SGD(data[0], 3, 4, 0.5, data[1], data[2], quiet=True).costs

    first = costs()
    np.testing.assert_array_equal(first, costs())
    assert np.isfinite(first).all()


# Attributes that readers' programs use


def test_attributes_of_layers_and_network() -> None:
    conv = ConvPoolLayer((2, 1, 3, 3), (4, 1, 8, 8))
    full, soft = FullyConnectedLayer(18, 5), SoftmaxLayer(5, 3)
    net = Network([conv, full, soft], 4)
    assert net.mini_batch_size == 4
    assert net.layers == [conv, full, soft]
    assert net.params == [conv.w, conv.b, full.w, full.b, soft.w, soft.b]
    assert net.output is soft.output
    assert net.output_dropout is soft.output_dropout
    assert conv.output_dropout is conv.output
    x = np.random.default_rng(0).random((4, 64)).astype(config.floatX)
    conv_out, out, y_out, cost, accuracy = function(
        [net.x, net.y],
        [conv.output, net.output, soft.y_out, soft.cost(net), soft.accuracy(net.y)],
    )(x, np.zeros(4, np.int32))
    assert conv_out.shape == (4, 2, 3, 3)
    np.testing.assert_allclose(out, np.full((4, 3), 1 / 3), rtol=1e-6)
    np.testing.assert_array_equal(y_out, [0, 0, 0, 0])  # the first of equal values
    assert float(cost) == pytest.approx(np.log(3), rel=1e-6)
    assert float(accuracy) == 1.0


def test_functions_stay_on_the_network() -> None:
    data = share_data(arrays((40, 9, 12)))
    net = small_fc()
    net.SGD(data[0], 1, 4, 0.5, data[1], data[2], quiet=True)
    labels = np.asarray(function([], data[2][1])())
    right = [np.mean(net.test_mb_predictions(j) == labels[4 * j : 4 * j + 4]) for j in range(3)]
    assert [float(net.test_mb_accuracy(j)) for j in range(3)] == pytest.approx(right)
    assert float(net.validate_mb_accuracy(0)) in (0, 0.25, 0.5, 0.75, 1)
    assert "gemm" in str(net.train_mb.plan)
    before = net.params[0].get_value()
    assert np.isfinite(net.train_mb(0))
    assert not np.array_equal(before, net.params[0].get_value())


def test_load_data_shared(tmp_path: Path, each_float: str) -> None:
    files = small_arrays()
    write_idx_folder(tmp_path, files)
    data = load_data_shared(tmp_path)
    assert [network3.size(pair) for pair in data] == [50, 10, 20]
    x, y = data[0]
    assert (x.get_value().dtype, x.get_value().shape) == (each_float, (50, 784))
    assert y.dtype == "int32"
    pixels = files["train-images-idx3-ubyte"].reshape(60, 784)[:50]
    np.testing.assert_array_equal(x.get_value() * 256, pixels)
    labels = function([], y)()
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, files["train-labels-idx1-ubyte"][:50])


# What is printed, and the record


def expected_lines(
    twin: NumpyNet, data: list[Any], epochs: int, batch: int, eta: float
) -> list[str]:
    """The lines of the book's schedule, from the NumPy implementation."""
    (x, y), validation, test = data
    batches, best, lines = len(x) // batch, 0.0, []
    for epoch in range(epochs):
        for k in range(batches):
            iteration = epoch * batches + k
            if iteration % 1000 == 0:
                lines.append(f"Training mini-batch number {iteration}")
            part = slice(k * batch, (k + 1) * batch)
            twin.step(x[part], y[part], eta, 0.0, batches)
        accuracy = twin.accuracy(*validation, batch)
        lines.append(f"Epoch {epoch}: validation accuracy {accuracy:.2%}")
        if accuracy >= best:
            best, at, corresponding = accuracy, iteration, twin.accuracy(*test, batch)
            lines.append("This is the best validation accuracy to date.")
            lines.append(f"The corresponding test accuracy is {corresponding:.2%}")
    return [
        *lines,
        "Finished training network.",
        f"Best validation accuracy of {best:.2%} obtained at iteration {at}",
        f"Corresponding test accuracy of {corresponding:.2%}",
    ]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("progress", [None, True])
def test_standard_output_is_exactly_that_of_the_book(
    progress: bool | None, capfd: pytest.CaptureFixture[str]
) -> None:
    data = arrays((2005, 83, 44), noise=2.5)
    net = Network([FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)], 4, seed=1)
    lines = expected_lines(numpy_twin(net, ("sigmoid", "linear")), data, 5, 4, 0.4)
    assert "Training mini-batch number 2000" in lines
    assert lines.count("This is the best validation accuracy to date.") < 5
    pairs = share_data(data)
    net.SGD(pairs[0], 5, 4, 0.4, pairs[1], pairs[2], progress=progress)
    out, err = capfd.readouterr()
    assert out == "".join(line + "\n" for line in lines)
    if progress is None:
        assert err == ""


def test_quiet_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = share_data(arrays((40, 8, 8)))
    small_fc().SGD(data[0], 2, 4, 0.5, data[1], data[2], quiet=True)
    assert capfd.readouterr() == ("", "")


def test_history() -> None:
    data = share_data(arrays((43, 8, 12)))
    net = small_fc()
    history = net.SGD(data[0], 6, 4, 0.5, data[1], data[2], quiet=True)
    assert history is net.history
    assert history.costs.shape == (60,)
    assert history.epochs == 6
    validation = history.validation_accuracies
    assert history.best_validation_accuracy == max(validation)
    last_best = max(k for k in range(6) if validation[k] == max(validation))
    assert history.best_iteration == 10 * last_best + 9
    assert history.test_accuracy == history.test_accuracies[last_best]
    measured = [validation[k] >= max(validation[: k + 1]) for k in range(6)]
    assert [not np.isnan(a) for a in history.test_accuracies] == measured
    assert history.seconds > 0


def test_without_test_data(capsys: pytest.CaptureFixture[str]) -> None:
    data = share_data(arrays((40, 8)))
    history = small_fc().SGD(data[0], 1, 4, 0.5, data[1], None)
    assert history.test_accuracy is None
    assert "test accuracy" not in capsys.readouterr().out


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


def test_ctrl_c_leaves_the_parameters_of_a_whole_step(monkeypatch: pytest.MonkeyPatch) -> None:
    data = share_data(arrays((4 * 150, 8, 8)))
    first, second = Network([SoftmaxLayer(12, 5)], 4), Network([SoftmaxLayer(12, 5)], 4)
    chunks = []

    def interrupt(self: Any, steps: int, cost: float) -> None:
        chunks.append(steps)
        if len(chunks) == 3:
            raise KeyboardInterrupt

    second.SGD(data[0], 1, 4, 0.5, data[1], data[2], quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(network3.Reporter, "advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            first.SGD(data[0], 2, 4, 0.5, data[1], data[2], quiet=True)
    steps = sum(chunks)
    assert first.history.costs.shape == (steps,)
    assert len(first.history.validation_accuracies) == steps // 150
    for i in range(150, steps):
        second.train_mb(i - 150)
    for p, q in zip(first.params, second.params, strict=True):
        np.testing.assert_array_equal(p.get_value(), q.get_value())
    assert first.history.seconds > 0


# Two networks: one is interrupted some time within a sweep, the other does the same steps whole.
INTERRUPTED = """
import numpy as np
from tinygrad_mnist import network3
from tinygrad_mnist.network3 import Network, SoftmaxLayer

rng = np.random.default_rng(0)
data = network3.share_data([(rng.normal(size=(4000, 12)), rng.integers(0, 5, 4000))])[0]
first, second = Network([SoftmaxLayer(12, 5)], 4), Network([SoftmaxLayer(12, 5)], 4)
advance = network3.Reporter.advance
network3.Reporter.advance = lambda *arguments: (
    setattr(network3.Reporter, "advance", advance), print("ready", flush=True))
try:
    first.SGD(data, 2000, 4, 0.5, data, None, quiet=True)
except KeyboardInterrupt:
    costs = first.history.costs
    train = second.training_function(data, 0.5, 0.0)
    expected = train.sweep([i % 1000 for i in range(len(costs))])
    print(len(costs) > 100, np.array_equal(costs, expected),
          *(np.array_equal(p.get_value(), q.get_value())
            for p, q in zip(first.params, second.params)))
"""


def test_the_costs_of_interrupted_steps_are_kept() -> None:
    """History and parameters tell of the same steps after a real Ctrl-C."""
    assert output_after_interrupt(INTERRUPTED, wait=0.1) == "True True True True\n"


# Errors, before anything is computed


def bad_label(which: int, value: int) -> list[Any]:
    pairs = arrays((40, 8, 8))
    pairs[which][1][3] = value
    return share_data(pairs)


@pytest.mark.parametrize("value", [-1, 5])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_labels_out_of_range_are_named(which: int, value: int) -> None:
    name = ("training_data", "validation_data", "test_data")[which]
    data = bad_label(which, value)
    net = small_fc()
    before = [param.get_value() for param in net.params]
    with pytest.raises(ValueError, match=rf"{name}: label {value} at index 3 is not in 0\.\.4"):
        net.SGD(data[0], 1, 4, 0.5, data[1], data[2])
    for param, value_before in zip(net.params, before, strict=True):
        np.testing.assert_array_equal(param.get_value(), value_before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1, not 0"),
        ({"epochs": 2.0}, TypeError, r"epochs must be an integer, not 2\.0"),
        ({"epochs": True}, TypeError, "epochs must be an integer, not True"),
        ({"mini_batch_size": 5}, ValueError, "is 5 in SGD, but the network was made for 4"),
        ({"mini_batch_size": "4"}, TypeError, "mini_batch_size must be an integer, not '4'"),
        ({"eta": "0.1"}, TypeError, r"eta must be a number, not '0\.1'"),
        ({"eta": float("nan")}, ValueError, "eta must be finite, not nan"),
        ({"lmbda": None}, TypeError, "lmbda must be a number, not None"),
    ],
)
def test_settings_are_checked(change: dict[str, Any], error: type[Exception], message: str) -> None:
    data = share_data(arrays((40, 8, 8)))
    settings = {
        "training_data": data[0],
        "epochs": 1,
        "mini_batch_size": 4,
        "eta": 0.5,
        "validation_data": data[1],
        "test_data": data[2],
        "lmbda": 0.1,
    }
    with pytest.raises(error, match=message):
        small_fc().SGD(**{**settings, **change})


def test_a_symbolic_rate_must_be_a_scalar() -> None:
    data = share_data(arrays((40, 8, 8)))
    with pytest.raises(TypeError, match="eta must be a scalar; the variable has 1 dimensions"):
        small_fc().SGD(data[0], 1, 4, T.vector("rates"), data[1], data[2])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (arrays((40, 3, 8)), r"validation_data: mini_batch_size 4 is larger than the data \(3"),
        (arrays((40, 8, 8), 11), "training_data: an image has 11 pixels, .* first layer takes 12"),
        (
            [(arrays((40,))[0][0], np.zeros(39)), *arrays((8, 8))],
            "training_data: 40 images, but 39 labels",
        ),
    ],
)
def test_data_that_do_not_fit(pairs: list[Any], message: str) -> None:
    data = share_data(pairs)
    with pytest.raises(ValueError, match=message):
        small_fc().SGD(data[0], 1, 4, 0.5, data[1], data[2])


def test_data_that_are_not_shared() -> None:
    plain = arrays((40, 8, 8))
    data = share_data(plain)
    x, _ = data[1]
    for pair, message in (
        (plain[1], "validation_data: x must be a shared matrix, not ndarray"),
        ((x, plain[1][1]), "validation_data: y must be a symbolic int32 vector, not ndarray"),
        ((x, x), "y must be a symbolic int32 vector, not a float32 variable of 2 dimensions"),
        (x, r"validation_data must be a pair \(x, y\) of shared variables"),
    ):
        with pytest.raises(TypeError, match=message):
            small_fc().SGD(data[0], 1, 4, 0.5, pair, data[2])


def test_layers_that_do_not_fit() -> None:
    conv = ConvPoolLayer((2, 1, 3, 3), (4, 1, 8, 8))
    with pytest.raises(ValueError, match=r"layer 1 \(SoftmaxLayer\) takes 17 .* before gives 18"):
        Network([conv, SoftmaxLayer(17, 3)], 4)
    with pytest.raises(ValueError, match=r"layer 0 \(ConvPoolLayer\) has image_shape .* is 5"):
        Network([conv, SoftmaxLayer(18, 3)], 5)
    with pytest.raises(ValueError, match="at least one layer"):
        Network([], 5)
    with pytest.raises(ValueError, match=r"takes 2 input maps, .* has 1"):
        ConvPoolLayer((2, 2, 3, 3), (4, 1, 8, 8))
    with pytest.raises(ValueError, match="4 x 4 leave nothing after filters of 5 x 5"):
        ConvPoolLayer((2, 1, 5, 5), (4, 1, 4, 4))
    with pytest.raises(ValueError, match=r"fewer weights than a block \(2, 2\)"):
        ConvPoolLayer((3, 1, 1, 1), (4, 1, 4, 4))
    with pytest.raises(TypeError, match=r"n_out must be an integer, not 10\.5"):
        SoftmaxLayer(3, 10.5)


def test_gpu_is_refused_wherever_something_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)]
    net, plain = Network(layers, 4), arrays((40, 8, 8))
    data = share_data(plain)
    monkeypatch.setattr(network3, "GPU", True)
    for make in (
        load_data_shared,
        lambda: share_data(plain),
        lambda: FullyConnectedLayer(12, 7),
        lambda: ConvPoolLayer((2, 1, 3, 3), (4, 1, 8, 8)),
        lambda: Network(layers, 4),
        lambda: net.SGD(data[0], 1, 4, 0.5, data[1], data[2]),
    ):
        with pytest.raises(NotImplementedError, match=r"GPU is True, but .* has no CUDA backend"):
            make()


# Readers' own layers


class Scale:
    """A layer that multiplies by a learnt number; it has neither w nor sizes."""

    def __init__(self) -> None:
        self.factor = shared(np.asarray(1.0, config.floatX), name="factor")
        self.params = [self.factor]

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        self.output = self.factor * inpt
        self.output_dropout = self.factor * inpt_dropout


def test_a_layer_of_the_readers_own() -> None:
    data = share_data(arrays((40, 8, 8)))
    scale = Scale()
    net = Network([scale, FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)], 4)
    net.SGD(data[0], 3, 4, 0.5, data[1], data[2], lmbda=0.1, quiet=True)
    assert float(scale.factor.get_value()) != 1.0
    with pytest.raises(TypeError, match=r"needs a method initialize\(rng\), which layer 0 \(Scale"):
        Network([Scale(), SoftmaxLayer(12, 5)], 4, seed=1)


# Learning


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


def test_one_epoch_on_real_digits(mnist_folder: Path) -> None:
    data = load_data_shared(mnist_folder)
    net = Network([FullyConnectedLayer(784, 100), SoftmaxLayer(100, 10)], 10, seed=1)
    history = net.SGD(data[0], 1, 10, 0.1, data[1], data[2], quiet=True)
    assert history.costs.shape == (5000,)
    assert history.costs[0] == pytest.approx(np.log(10), rel=1e-5)
    assert history.best_validation_accuracy > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"poolsize": 2}, "poolsize must be 2 integers, not 2"),
        ({"image_shape": (10, 28, 28)}, r"image_shape must be 4 integers, not \(10, 28, 28\)"),
        ({"filter_shape": (20, 1, 5, 0.5)}, "filter_shape must be an integer, not 0.5"),
    ],
)
def test_a_shape_that_is_none_is_named(options: dict[str, Any], message: str) -> None:
    settings = {"filter_shape": (20, 1, 5, 5), "image_shape": (10, 1, 28, 28)} | options
    with pytest.raises(TypeError, match=message):
        network3.ConvPoolLayer(**settings)


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


def test_data_of_another_floatx_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", "float64")
    (data,) = network3.share_data([(np.zeros((4, 4)), np.zeros(4))])
    monkeypatch.setattr(config, "floatX", "float32")
    net = network3.Network([network3.SoftmaxLayer(n_in=4, n_out=2)], 2)
    with pytest.raises(TypeError, match="training_data: x is float64, but floatX is float32"):
        net.SGD(data, 1, 2, 0.1, data, data)


@pytest.mark.parametrize("name", [[], [None], ["../data/mnist.pkl.gz"]])
def test_without_a_name_the_data_are_searched_for(
    name: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_idx_folder(tmp_path / "mnist", small_arrays())
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(tmp_path / "mnist"))
    sizes = [network3.size(pair) for pair in network3.load_data_shared(*name)]
    assert len(sizes) == 3
    assert min(sizes) > 0


def test_generated_digits_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_digits(0, training=30, validation=20, test=10)
    monkeypatch.setattr(sources, "load_digits", lambda: small)
    data = network3.load_data_shared("digits")
    assert [network3.size(pair) for pair in data] == [30, 20, 10]
    np.testing.assert_array_equal(data[0][0].get_value(), small.training.images)
    np.testing.assert_array_equal(function([], data[2][1])(), small.test.labels)
