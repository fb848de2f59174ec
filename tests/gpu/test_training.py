"""The book's networks on a GPU against the processor.

Images are noise, which has no ties, unless a test says otherwise. In float32 the first costs agree
to 1e-5: on processors, with sums in another order, they differed by 2e-7, and parameters after
them by 2e-6. In float64 they agree to 1e-10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.gpu import BACKEND

from tinygrad_mnist import config, network3
from tinygrad_mnist.booknets import RECIPES, BookNet, book_net
from tinygrad_mnist.datasets import DatasetError, Splits, load_digits, load_mnist, locate
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.functions import Function, swept
from tinygrad_mnist.network3 import ConvPoolLayer, FullyConnectedLayer, Network, ReLU, SoftmaxLayer

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
Values = np.ndarray[Any, Any]


def noise(n: int, pixels: int, classes: int = 10) -> tuple[Values, Values]:
    rng = np.random.default_rng(5)
    return rng.random((n, pixels)), rng.integers(0, classes, n)


def expect_near(results: list[Values], wanted: list[Values], floats: str) -> None:
    for a, b in zip(results, wanted, strict=True):
        assert a.dtype == b.dtype
        error = np.linalg.norm(np.ravel(a - b)) / np.linalg.norm(np.ravel(b))
        assert error <= TOLERANCE[floats], error


# --- small enough for the simulator ---------------------------------------------------------------

SMALL_BATCH, SMALL_SIDE, SMALL_CLASSES = 2, 12, 4


def small_conv2() -> Network:
    """The book's second convolutional network with ReLU: 2 and 3 filters, 5 neurons, 4 classes."""
    layers = [
        ConvPoolLayer((2, 1, 3, 3), (SMALL_BATCH, 1, SMALL_SIDE, SMALL_SIDE), activation_fn=ReLU),
        ConvPoolLayer((3, 2, 2, 2), (SMALL_BATCH, 2, 5, 5), activation_fn=ReLU),
        FullyConnectedLayer(3 * 2 * 2, 5, ReLU),
        SoftmaxLayer(5, SMALL_CLASSES),
    ]
    return Network(layers, SMALL_BATCH, seed=1)


def small_dropout() -> Network:
    """Sigmoid neurons, and dropout of the inputs of both layers."""
    layers = [
        FullyConnectedLayer(20, 5, p_dropout=0.5),
        SoftmaxLayer(5, SMALL_CLASSES, p_dropout=0.25),
    ]
    return Network(layers, SMALL_BATCH, seed=2)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("floats", TOLERANCE)
@pytest.mark.parametrize("make", [small_conv2, small_dropout])
def test_a_small_network_trains_as_on_the_processor(
    make: Callable[[], Network], floats: str
) -> None:
    """Costs of three steps, all parameters after them, and what it then says of the images."""
    config.floatX = floats
    results = {}
    for device in ("cpu", BACKEND):
        config.device = device
        net = make()
        (data,) = network3.share_data([noise(4, net.layers[0].n_in, SMALL_CLASSES)])
        step = net.training_function(data, 0.1, 0.1)
        costs = [step(0), *step.sweep([1, 0])]
        accuracy, classes = net._accuracy_function(data, "accuracy"), net._prediction_function(data)
        results[device] = (
            [np.array(costs), *(p.get_value() for p in net.params)],
            [accuracy(1), classes.sweep([0, 1])],
        )
    expect_near(results[BACKEND][0], results["cpu"][0], floats)
    for a, b in zip(results[BACKEND][1], results["cpu"][1], strict=True):
        np.testing.assert_array_equal(a, b)


# --- in the book's sizes --------------------------------------------------------------------------

BATCH, IMAGES, STEPS = 10, 200, 20


def training(name: str, device: str, batch: int = BATCH, labels: Any = None) -> tuple[BookNet, Any]:
    """A book net with its own weights, and its training step, on `device`."""
    config.device = device
    images, drawn = noise(max(IMAGES, batch), 784)
    (data,) = network3.share_data([(images, drawn if labels is None else labels)])
    net = book_net(name, batch, seed=3)
    return net, net.network.training_function(data, net.recipe.eta, net.recipe.lmbda)


def values(step: Function) -> list[Values]:
    """Of all variables that a step uses: parameters, counters of random draws, data."""
    return [v.get_value() for v in step.get_shared()]


@pytest.mark.gpu
@pytest.mark.ptx
@pytest.mark.slow
@pytest.mark.parametrize("floats", TOLERANCE)
@pytest.mark.parametrize("name", RECIPES)
def test_first_costs(name: str, floats: str) -> None:
    """Of 20 steps, and the parameters after them; dropout draws the same masks."""
    config.floatX = floats
    results = []
    for device in (BACKEND, "cpu"):
        net, step = training(name, device)
        costs = step.sweep(range(STEPS))
        assert len(set(costs.tolist())) == STEPS
        results.append([costs, *(p.get_value() for p in net.network.params)])
    expect_near(*results, floats)


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "batch"), [("conv2-relu", 128), ("conv2-relu", 1000), ("fc", 1)])
def test_first_costs_of_other_batches(name: str, batch: int) -> None:
    results = []
    for device in (BACKEND, "cpu"):
        net, step = training(name, device, batch)
        results.append([step.sweep([0] * 5), *(p.get_value() for p in net.network.params)])
    expect_near(*results, "float32")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["conv2-relu", "dropout"])
def test_runs_repeat_bit_for_bit(name: str) -> None:
    """Two trainings, and one whose steps are called one by one."""
    steps = [k % (IMAGES // BATCH) for k in range(100)]
    results = []
    for how in ("sweep", "sweep", "calls"):
        _, step = training(name, BACKEND)
        costs = step.sweep(steps) if how == "sweep" else np.array([step(k) for k in steps])
        results.append([costs, *values(step)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.gpu
def test_a_wrong_label_changes_nothing() -> None:
    """Called and in a sweep: the step that it is in does not happen."""
    _, labels = noise(IMAGES, 784)
    labels[35] = 10  # in mini-batch 3
    _, step = training("dropout", BACKEND, labels=labels)
    step.sweep(range(3))
    before = values(step)
    with pytest.raises(IndexOutOfRangeError):
        step(3)
    for a, b in zip(values(step), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(IndexOutOfRangeError, match=r"^step 2 of the sweep") as error:
        step.sweep([4, 5, 3, 6, 7])
    done = swept(error.value)
    assert done is not None
    assert done.steps == len(done.outputs) == 2
    _, other = training("dropout", BACKEND, labels=labels)
    costs = other.sweep([0, 1, 2, 4, 5])
    np.testing.assert_array_equal(done.outputs, costs[3:])
    for a, b in zip(values(step), values(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.gpu
def test_processor_and_gpu_train_one_network_in_turns() -> None:
    """Steps of both on the same parameters: the costs are those of the processor alone."""
    config.floatX = "float64"
    net, on_cpu = training("conv2-relu", "cpu")
    alone = on_cpu.sweep(range(8))
    wanted = [p.get_value() for p in net.network.params]
    net, on_cpu = training("conv2-relu", "cpu")
    config.device = BACKEND
    (data,) = network3.share_data([noise(IMAGES, 784)])
    on_gpu = net.network.training_function(data, net.recipe.eta, net.recipe.lmbda)
    costs = [on_cpu(0), *on_gpu.sweep([1, 2]), *on_cpu.sweep([3, 4]), on_gpu(5), on_cpu(6)]
    before = [p.get_value() for p in net.network.params]
    costs.append(on_gpu(7))
    expect_near(
        [np.array(costs), *(p.get_value() for p in net.network.params)],
        [alone, *wanted],
        "float64",
    )
    assert not np.array_equal(before[0], wanted[0])


@pytest.mark.gpu
def test_mini_batches_of_several_sizes_in_turn() -> None:
    """Functions over the same parameters, each with an arena of its own, small and large."""
    config.floatX = "float64"
    results = []
    for device in (BACKEND, "cpu"):
        config.device = device
        (data,) = network3.share_data([noise(600, 784)])
        small = book_net("conv2-relu", 10, seed=3).network
        large = book_net("conv2-relu", 300).network
        for a, b in zip(large.layers, small.layers, strict=True):
            a.w, a.b, a.params = b.w, b.b, b.params
        twin = Network(large.layers, 300)
        few, many = (n.training_function(data, 0.03, 0.1) for n in (small, twin))
        costs = [few(0), many(0), *few.sweep([1, 2]), *many.sweep([1, 0]), few(3)]
        results.append([np.array(costs), *(p.get_value() for p in small.params)])
    expect_near(*results, "float64")


# --- a whole training -----------------------------------------------------------------------------

# Two trainings of the same network whose roundings differ ended up to 0.2 percentage points apart
# on MNIST; a wrong gradient costs more than this margin.
MARGIN = 0.006


def training_data() -> tuple[Splits, float]:
    """MNIST where it is, else generated digits; and an accuracy that one short epoch must reach."""
    try:
        locate(fetch=False)
        return load_mnist(), 0.97
    except DatasetError:
        return load_digits(), 0.95


@pytest.mark.gpu
def test_a_whole_training_reaches_the_processors_accuracy() -> None:
    splits, least = training_data()
    accuracies = {}
    for device in ("cpu", BACKEND):
        config.device = device
        data = network3.share_data(splits)
        net = book_net("conv2-relu", BATCH, seed=1)
        history = net.train(*data, epochs=1, anneal=True, quiet=True)
        assert len(history.costs) == len(splits[0][0]) // BATCH
        accuracies[device] = history.test_accuracy
    assert accuracies["cpu"] > least
    assert abs(accuracies[BACKEND] - accuracies["cpu"]) <= MARGIN, accuracies
