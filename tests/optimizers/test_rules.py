"""Every rule for 20 steps beside NumPy in float64, written from the published formulas."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from helpers.backends import DEVICES, making_functions_for
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import optimizers

Array = NDArray[Any]
Rule = Iterator[None]
STEPS = 20
RATE = 0.05


def sgd(w: Array, g: Array, momentum: float = 0.0, nesterov: bool = False) -> Rule:
    velocity = np.zeros_like(w)
    while True:
        velocity[...] = momentum * velocity - RATE * g
        w += momentum * velocity - RATE * g if nesterov else velocity
        yield


def rmsprop(
    w: Array, g: Array, rho: float = 0.9, momentum: float = 0.0, centered: bool = False
) -> Rule:
    square, mean, summed = (np.zeros_like(w) for _ in range(3))
    while True:
        square[...] = rho * square + (1 - rho) * g**2
        mean[...] = rho * mean + (1 - rho) * g
        summed[...] = momentum * summed + RATE * g / np.sqrt(square - centered * mean**2 + 1e-7)
        w -= summed
        yield


def adagrad(w: Array, g: Array, initial_accumulator_value: float = 0.1) -> Rule:
    total = np.full_like(w, initial_accumulator_value)
    while True:
        total += g**2
        w -= RATE * g / np.sqrt(total + 1e-7)
        yield


def adadelta(w: Array, g: Array, rho: float = 0.95) -> Rule:
    squares, steps = np.zeros_like(w), np.zeros_like(w)
    while True:
        squares[...] = rho * squares + (1 - rho) * g**2
        step = np.sqrt(steps + 1e-7) / np.sqrt(squares + 1e-7) * g
        steps[...] = rho * steps + (1 - rho) * step**2
        w -= RATE * step
        yield


def adam(
    w: Array,
    g: Array,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    amsgrad: bool = False,
    weight_decay: float = 0.0,
) -> Rule:
    m, v, greatest = (np.zeros_like(w) for _ in range(3))
    for t in range(1, STEPS + 1):
        w *= 1 - RATE * weight_decay
        m[...] = beta_1 * m + (1 - beta_1) * g
        v[...] = beta_2 * v + (1 - beta_2) * g**2
        greatest[...] = np.maximum(greatest, v)
        alpha = RATE * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w -= alpha * m / (np.sqrt(greatest if amsgrad else v) + 1e-7)
        yield


def adamw(w: Array, g: Array, weight_decay: float = 0.004) -> Rule:
    return adam(w, g, weight_decay=weight_decay)


def adamax(w: Array, g: Array, beta_2: float = 0.999) -> Rule:
    m, u = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, STEPS + 1):
        m[...] = 0.9 * m + 0.1 * g
        u[...] = np.maximum(beta_2 * u, np.abs(g))
        w -= RATE / (1 - 0.9**t) * m / (u + 1e-7)
        yield


def nadam(w: Array, g: Array) -> Rule:
    m, v, product = np.zeros_like(w), np.zeros_like(w), 1.0
    for t in range(1, STEPS + 1):
        now, following = (0.9 * (1 - 0.5 * 0.96**n) for n in (t, t + 1))
        product *= now
        m[...] = 0.9 * m + 0.1 * g
        v[...] = 0.999 * v + 0.001 * g**2
        m_hat = following * m / (1 - product * following) + (1 - now) * g / (1 - product)
        w -= RATE * m_hat / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
        yield


CASES: list[tuple[Callable[..., Rule], dict[str, Any]]] = [
    (sgd, {}),
    (sgd, {"momentum": 0.9}),
    (sgd, {"momentum": 0.9, "nesterov": True}),
    (rmsprop, {}),
    (rmsprop, {"rho": 0.5, "momentum": 0.9}),
    (rmsprop, {"centered": True}),
    (rmsprop, {"centered": True, "momentum": 0.7}),
    (adagrad, {}),
    (adagrad, {"initial_accumulator_value": 1.0}),
    (adadelta, {}),
    (adadelta, {"rho": 0.5}),
    (adam, {}),
    (adam, {"beta_1": 0.5, "beta_2": 0.9}),
    (adam, {"amsgrad": True, "beta_2": 0.5}),
    (adam, {"weight_decay": 0.3}),
    (adamw, {}),
    (adamw, {"weight_decay": 0.5}),
    (adamax, {}),
    (adamax, {"beta_2": 0.5}),
    (nadam, {}),
]
IDS = [f"{rule.__name__}-{'-'.join(options)}" for rule, options in CASES]
# One parameter is read by a product, so that its gradient is one; the other one is a vector.
X = np.random.default_rng(1).normal(size=(8, 4))
Y = np.random.default_rng(2).normal(size=(8, 3))


def gradients(w: Array, b: Array) -> tuple[Array, Array]:
    """Those of the mean of (tanh(X w + b) - Y)^2."""
    z = np.tanh(X @ w + b)
    inner = 2 * (z - Y) * (1 - z**2) / Y.size
    return X.T @ inner, inner.sum(axis=0)


def expected(rule: Callable[..., Rule], options: dict[str, Any], values: list[Array]) -> None:
    """Runs a rule on arrays, which it changes."""
    slopes = [np.zeros_like(v) for v in values]
    rules = [rule(v, g, **options) for v, g in zip(values, slopes, strict=True)]
    for _ in range(STEPS):
        for slope, g in zip(slopes, gradients(*values), strict=True):
            slope[...] = g
        for step in rules:
            next(step)


def trained(
    rule: str, options: dict[str, Any], dtype: str
) -> tuple[list[theano.SharedVariable], Any]:
    rng = np.random.default_rng(3)
    shapes = [(4, 3), (3,)]
    params = [
        theano.shared(rng.normal(size=s).astype(dtype), n)
        for s, n in zip(shapes, "wb", strict=True)
    ]
    x, y = X.astype(dtype), Y.astype(dtype)
    cost = T.mean(T.sqr(T.tanh(T.dot(x, params[0]) + params[1]) - y))
    updates = getattr(optimizers, rule)(cost, params, learning_rate=RATE, **options)
    return params, theano.function([], cost, updates=updates)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rule", "options"), CASES, ids=IDS)
def test_parameters_follow_the_formula(
    rule: Callable[..., Rule],
    options: dict[str, Any],
    dtype: str,
    device: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(theano.config, "floatX", dtype)
    with making_functions_for(device):
        params, train = trained(rule.__name__, options, dtype)
        values = [w.get_value().astype("float64") for w in params]
        for _ in range(STEPS):
            train()
    expected(rule, options, values)
    for w, value in zip(params, values, strict=True):
        assert w.get_value().dtype == dtype
        tolerance = 1e-12 if dtype == "float64" else 2e-4
        np.testing.assert_allclose(w.get_value(), value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("rule", "options"), CASES, ids=IDS)
def test_a_sweep_is_as_many_calls(rule: Callable[..., Rule], options: dict[str, Any]) -> None:
    """Counters and scalars of the rule live in the plan, so nothing is left to Python."""
    i = T.lscalar("i")
    found = []
    for sweeps in (False, True):
        rng = np.random.default_rng(3)
        w = theano.shared(rng.normal(size=(4, 3)).astype("float32"), "w")
        x = theano.shared(X.astype("float32"), "x")
        cost = T.mean(T.sqr(T.tanh(T.dot(x[i : i + 2], w))))
        updates = getattr(optimizers, rule.__name__)(cost, [w], learning_rate=RATE, **options)
        train = theano.function([i], cost, updates=updates)
        costs = train.sweep(range(6)) if sweeps else [train(n) for n in range(6)]
        found.append((np.asarray(costs), w.get_value()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("rule", "options"), CASES, ids=IDS)
def test_mixed_dtypes(rule: Callable[..., Rule], options: dict[str, Any]) -> None:
    """Parameters keep their dtypes whatever floatX is."""
    params, _ = trained(rule.__name__, options, "float32")
    wide = theano.shared(np.ones((2, 2)), "wide")
    cost = T.sum(T.sqr(params[0])) + T.sum(T.sqr(wide))
    for floatx in ("float32", "float64"):
        with theano.config.change_flags(floatX=floatx):
            updates = getattr(optimizers, rule.__name__)(cost, [params[0], wide], **options)
            theano.function([], updates=updates)()
    assert params[0].get_value().dtype == "float32"
    assert wide.get_value().dtype == "float64"
    assert np.isfinite(wide.get_value()).all()
