"""The softmax layer at the end of a network is one call where a GPU has the kernel, and what it
computes stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.backends import making_functions_for

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends import BACKENDS
from tinygrad_mnist.contracts.reduce.softmax_layer import CLASSES, MOST_INPUTS, MOST_ROWS, fits
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.network3 import FullyConnectedLayer, Network, ReLU, SoftmaxLayer, share_data
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

KERNEL = "softmax_layer"
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")


class Net(NamedTuple):
    """A step of a net with one hidden layer: how its pieces are written.

    also: what else the step returns. transposed: whether the weights are (c, k).
    """

    logits: Callable[..., Any] = lambda h, w, b: T.dot(h, w) + b
    cost: Callable[..., Any] = lambda z, y: T.nnet.categorical_crossentropy(
        T.nnet.softmax(z), y
    ).mean()
    hidden: Callable[..., Any] = lambda x, v: T.nnet.relu(T.dot(x, v))
    also: Callable[..., Any] | None = None
    transposed: bool = False


def by_hand(z: Any, y: Any) -> Any:
    return -T.mean(T.log(T.nnet.softmax(z))[T.arange(y.shape[0]), y])


def from_exponentials(z: Any, y: Any) -> Any:
    p = T.exp(z) / T.exp(z).sum(axis=1, keepdims=True)
    return -T.mean(T.log(p[T.arange(y.shape[0]), y]))


def masked(x: Any, v: Any) -> Any:
    h = T.nnet.relu(T.dot(x, v))
    return h * RandomStreams(3).binomial(size=h.shape, n=1, p=0.5, dtype=h.dtype)


def weighted(z: Any, y: Any) -> Any:
    losses = T.nnet.categorical_crossentropy(T.nnet.softmax(z), y)
    return T.sum(losses * T.arange(1, y.shape[0] + 1) / 7.0)


FUSED = {
    "plain": Net(),
    "no bias": Net(logits=lambda h, w, b: T.dot(h, w)),
    "bias first": Net(logits=lambda h, w, b: b + T.dot(h, w)),
    "bias as a row": Net(logits=lambda h, w, b: T.dot(h, w) + b.dimshuffle("x", 0)),
    "weights transposed": Net(logits=lambda h, w, b: T.dot(h, w.T) + b, transposed=True),
    "by hand": Net(cost=by_hand),
    "a sum": Net(cost=lambda z, y: T.nnet.categorical_crossentropy(T.nnet.softmax(z), y).sum()),
    "weights of samples": Net(cost=weighted),
    "sigmoid": Net(hidden=lambda x, v: T.nnet.sigmoid(T.dot(x, v))),
    "linear": Net(hidden=lambda x, v: T.dot(x, v)),
    "dropout": Net(hidden=masked),
    "probabilities": Net(also=lambda z, y: T.nnet.softmax(z)),
    "predictions": Net(also=lambda z, y: T.argmax(T.nnet.softmax(z), axis=1)),
}
APART = {
    "scaled logits": Net(logits=lambda h, w, b: (T.dot(h, w) + b) / 2),
    "a softmax that isn't recognised": Net(cost=from_exponentials),
    "logits are a result": Net(also=lambda z, y: z),
    "a cost that isn't linear in the losses": Net(
        cost=lambda z, y: T.sqr(T.nnet.categorical_crossentropy(T.nnet.softmax(z), y)).mean()
    ),
    "targets that are no labels": Net(
        cost=lambda z, y: T.sqr(T.nnet.softmax(z) - T.extra_ops.to_one_hot(y, 5)).mean()
    ),
}


def run(
    net: Net, device: str, n: int = 6, k: int = 8, c: int = 5, labels: str = "int32"
) -> tuple[list[Any], Any]:
    """What two steps and their parameters give, and the plan."""
    rng = np.random.default_rng(n * k + c)
    dtype = theano.config.floatX

    def variable(*shape: int) -> Any:
        return theano.shared(rng.normal(size=shape).astype(dtype))

    v, w, b = variable(7, k), variable(*((c, k) if net.transposed else (k, c))), variable(c)
    x, y = T.matrix("x"), T.vector("y", labels)
    z = net.logits(net.hidden(x, v), w, b)
    cost = net.cost(z, y)
    params = [v, w, b]
    gradients = T.grad(cost, params, disconnected_inputs="ignore")
    updates = [(p, p - 0.25 * g) for p, g in zip(params, gradients, strict=True)]
    outputs = [cost] if net.also is None else [cost, net.also(z, y)]
    with making_functions_for(device):
        step = theano.function([x, y], outputs, updates=updates)
    low = 0 if labels.startswith("u") else -c
    found = []
    for _ in range(2):
        values = rng.normal(size=(n, 7)).astype(dtype), rng.integers(low, c, n).astype(labels)
        found += step(*values)
    return [*found, *(p.get_value() for p in params)], step.plan


def kernels(plan: Any) -> list[str]:
    return [call.kernel for call in plan.calls]


def assert_near(found: list[Any], wanted: list[Any]) -> None:
    tolerance = 1e-5 if theano.config.floatX == "float32" else 1e-12
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUSED)
def test_a_layer_is_one_call(name: str, dtype: str) -> None:
    theano.config.floatX = dtype
    found, plan = run(FUSED[name], "fused for a GPU")
    assert kernels(plan).count(KERNEL) == 1
    assert not {"softmax", "softmax_xent", "softmax_xent_grad"}.intersection(kernels(plan))
    (call,) = [call for call in plan.calls if call.kernel == KERNEL]
    assert len(call.outputs) == 3 + (FUSED[name].also is not None)
    assert_near(found, run(FUSED[name], "reference")[0])


@pytest.mark.parametrize("name", APART)
def test_what_is_no_layer_stays_apart(name: str) -> None:
    theano.config.floatX = "float64"
    found, plan = run(APART[name], "fused for a GPU")
    assert KERNEL not in kernels(plan)
    assert_near(found, run(APART[name], "reference")[0])


@pytest.mark.parametrize("labels", DTYPES)
def test_labels_of_any_dtype(labels: str) -> None:
    found, plan = run(Net(), "fused for a GPU", labels=labels)
    assert KERNEL in kernels(plan)
    assert_near(found, run(Net(), "reference", labels=labels)[0])


@pytest.mark.parametrize(
    ("n", "k", "c"), [(1, 8, 5), (6, 1, 5), (6, 8, 2), (6, 8, 32), (512, 3, 2)]
)
def test_small_layers_are_fused(n: int, k: int, c: int) -> None:
    found, plan = run(Net(), "fused for a GPU", n, k, c)
    assert KERNEL in kernels(plan)
    assert_near(found, run(Net(), "reference", n, k, c)[0])


@pytest.mark.parametrize(
    ("n", "k", "c"), [(6, 8, 1), (6, 8, 33), (6, 1025, 5), (6, 400, 32), (513, 3, 2)]
)
def test_layers_that_do_not_fit_stay_apart(n: int, k: int, c: int) -> None:
    found, plan = run(Net(), "fused for a GPU", n, k, c)
    assert KERNEL not in kernels(plan)
    assert_near(found, run(Net(), "reference", n, k, c)[0])


def test_what_fits() -> None:
    assert fits(MOST_ROWS, 100, 10, 8)
    assert not fits(MOST_ROWS + 1, 100, 10, 4)
    assert fits(10, MOST_INPUTS, 9, 4)
    assert not fits(10, MOST_INPUTS + 1, 2, 4)
    assert fits(10, 1000, 10, 4)
    assert not fits(10, 1000, 10, 8)  # the weights are larger than a block's memory
    assert not fits(10, 100, CLASSES.stop, 4)
    assert not fits(0, 100, 10, 4)


def test_the_cpu_has_no_such_kernel() -> None:
    assert KERNEL not in BACKENDS["cpu"].kernels
    for device in ("cpu", "fused"):
        assert KERNEL not in kernels(run(Net(), device)[1])


def test_a_wrong_label_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    with making_functions_for("fused for a GPU"):
        v, w = (theano.shared(rng.normal(size=s).astype("float32")) for s in ((7, 8), (8, 5)))
        x, y = T.matrix("x"), T.ivector("y")
        cost = by_hand(T.dot(T.nnet.relu(T.dot(x, v)), w), y)
        updates = [(p, p - T.grad(cost, p)) for p in (v, w)]
        step = theano.function([x, y], cost, updates=updates)
    values = rng.normal(size=(4, 7)).astype("float32")
    step(values, [0, 1, 2, -5])
    assert KERNEL in kernels(step.plan)
    before = [p.get_value() for p in (v, w)]
    for wrong in (5, -6):
        with pytest.raises(IndexOutOfRangeError, match=r"y .*has to lie between -5 and 4"):
            step(values, [0, wrong, 2, 3])
    for p, old in zip((v, w), before, strict=True):
        np.testing.assert_array_equal(p.get_value(), old)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("lmbda", [0.0, 0.5])
def test_network3(dropout: float, lmbda: float) -> None:
    """The book's cost, with and without weight decay and dropout."""
    rng = np.random.default_rng(0)
    pairs = (rng.random((20, 12)).astype("float32"), rng.integers(0, 5, 20))
    costs = []
    for device in ("fused for a GPU", "reference"):
        with making_functions_for(device):
            (data,) = share_data([pairs])
            layers = [
                FullyConnectedLayer(12, 7, activation_fn=ReLU, p_dropout=dropout),
                SoftmaxLayer(7, 5, p_dropout=dropout),
            ]
            net = Network(layers, 4, seed=1)
            step = net.training_function(data, 0.1, lmbda)
        costs.append([float(step(k)) for k in (0, 1, 2, 0)])
        assert (KERNEL in kernels(step.plan)) == (device != "reference")
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-5)


def test_two_layers_of_one_net() -> None:
    """Two heads over one hidden layer, whose gradients are added."""
    results = []
    for device in ("fused for a GPU", "reference"):
        v, w, u = (
            theano.shared(np.random.default_rng(k).normal(size=s))
            for k, s in enumerate(((7, 8), (8, 5), (8, 3)))
        )
        x, y, z = T.dmatrix("x"), T.ivector("y"), T.ivector("z")
        h = T.tanh(T.dot(x, v))
        cost = by_hand(T.dot(h, w), y) + by_hand(T.dot(h, u), z)
        with making_functions_for(device):
            updates = [(p, p - T.grad(cost, p)) for p in (v, w, u)]
            step = theano.function([x, y, z], cost, updates=updates)
        rng = np.random.default_rng(5)
        step(rng.normal(size=(4, 7)), rng.integers(0, 5, 4), rng.integers(0, 3, 4))
        results.append([p.get_value() for p in (v, w, u)])
        assert kernels(step.plan).count(KERNEL) == (0 if device == "reference" else 2)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
