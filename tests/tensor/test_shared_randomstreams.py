"""Random streams: the distributions that they draw from, by NumPy alone and with fixed seeds."""

from __future__ import annotations

from math import erf, sqrt
from typing import Any

import numpy as np
import pytest
from helpers.backends import DEVICES
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

N = 20_000
# Kolmogorov and Smirnov: the distance to the true distribution passes c / sqrt(n) with
# probability 2 exp(-2 c^2), here 1e-4. The seeds are fixed: what holds once holds always.
KS_LIMIT = sqrt(np.log(2 / 1e-4) / 2 / N)


def distance(values: np.ndarray[Any, Any], distribution: Any) -> float:
    """The largest distance of the values' empirical distribution from the true one."""
    ordered = np.sort(values.ravel())
    exact = distribution(ordered)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max(np.max(exact - steps[:-1]), np.max(steps[1:] - exact)))


GRID = np.linspace(-9, 9, 9001)
BELOW = [(1 + erf(v / sqrt(2))) / 2 for v in GRID]


def normal_distribution(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Exact to 2e-7, by linear interpolation."""
    return np.interp(x, GRID, BELOW)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(device: str, dtype: str) -> None:
    values = evaluate(device, [], RandomStreams(7).normal((N // 100, 100), dtype=dtype))
    assert values.dtype == dtype
    assert abs(values.mean()) < 4 / sqrt(N)
    assert abs(values.var() - 1) < 4 * sqrt(2 / N)
    assert abs((values**3).mean()) < 4 * sqrt(15 / N)
    assert abs((values**4).mean() - 3) < 4 * sqrt(96 / N)
    assert distance(values.astype("float64"), normal_distribution) < KS_LIMIT
    neighbours = (values.ravel()[1:] * values.ravel()[:-1]).mean()
    assert abs(neighbours) < 4 / sqrt(N)
    assert len(np.unique(values)) > 0.99 * N


def test_uniform(device: str) -> None:
    values = evaluate(device, [], RandomStreams(7).uniform((N,), low=-1, high=3))
    assert distance(values.astype("float64"), lambda x: (x + 1) / 4) < KS_LIMIT


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (7, 0.3), (100, 0.02), (64, 0.5)])
def test_binomial(device: str, n: int, p: float) -> None:
    values = evaluate(device, [], RandomStreams(5).binomial((N // 4,), n=n, p=p))
    assert values.dtype == "int64"
    assert values.min() >= 0
    assert values.max() <= n
    spread = sqrt(n * p * (1 - p))
    assert abs(values.mean() - n * p) < 4 * spread / sqrt(N // 4)
    kurtosis = 3 + (1 - 6 * p * (1 - p)) / (n * p * (1 - p))
    assert abs(values.var() / spread**2 - 1) < 4 * sqrt((kurtosis - 1) / (N // 4))


def test_binomial_without_trials_and_with_sure_ones(device: str) -> None:
    stream = RandomStreams(5)
    outputs = [stream.binomial((3, 2), n=n, p=p) for n, p in ((0, 0.5), (9, 1.0), (9, 0.0))]
    for result, expected in zip(evaluate(device, [], outputs), (0, 9, 0), strict=True):
        np.testing.assert_array_equal(result, np.full((3, 2), expected))


def test_arguments_may_be_symbolic_and_arrays(device: str) -> None:
    n, p = T.iscalar("n"), T.fvector("p")
    avg, std = T.fmatrix("avg"), T.fscalar("std")
    stream = RandomStreams(9)
    outputs = [
        stream.binomial((4000, 2), n=n, p=p),
        stream.normal((4000, 2, 3), avg=avg, std=std),
        stream.uniform((4000, 3), low=np.array([0.0, 5.0, -1.0]), high=[1.0, 6.0, 1.0]),
    ]
    means = np.float32([[0, 10, 20], [-5, 5, 0]])
    counts, normals, uniforms = evaluate(
        device, [n, p, avg, std], outputs, 10, np.float32([0.1, 0.9]), means, 0.5
    )
    np.testing.assert_allclose(counts.mean(0), [1, 9], atol=0.1)
    np.testing.assert_allclose(normals.mean(0), means, atol=0.05)
    np.testing.assert_allclose(normals.std(0), np.full((2, 3), 0.5), atol=0.05)
    np.testing.assert_allclose(uniforms.mean(0), [0.5, 5.5, 0], atol=0.06)


def test_the_size_of_the_arguments(device: str) -> None:
    """Without a size, every element of the arguments has a number of its own."""
    avg, low = T.fmatrix("avg"), T.fcol("low")
    stream = RandomStreams(2)
    outputs = [
        stream.normal(None, avg=avg),
        stream.uniform(None, low=low, high=avg),
        stream.binomial(None, p=np.full(50, 0.5)),
        stream.normal(None),
        stream.normal(),
    ]
    value = np.full((3, 4), 100, "float32")
    drawn = evaluate(device, [avg, low], outputs, value, np.zeros((3, 1), "float32"))
    normals, uniforms, coins, one, another = drawn
    assert normals.shape == uniforms.shape == (3, 4)
    assert len(np.unique(normals)) == len(np.unique(uniforms)) == 12
    assert coins.shape == (50,)
    assert 0 < coins.sum() < 50
    assert one.shape == another.shape == ()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 3), (5, 5), (0, 999)])
def test_random_integers(device: str, low: int, high: int) -> None:
    values = evaluate(device, [], RandomStreams(3).random_integers((N // 4,), low, high))
    assert values.dtype == "int64"
    many = high - low + 1
    counts = np.bincount(values - low, minlength=many)
    assert len(counts) == many
    expected = N / 4 / many
    chi2 = np.sum((counts - expected) ** 2 / expected)
    assert chi2 <= (many - 1) + 4 * sqrt(2 * (many - 1))


def test_random_integers_between_variables(device: str) -> None:
    low, high = T.lvector("low"), T.iscalar("high")
    drawn = RandomStreams(3).random_integers((1000, 3), low, high, dtype="int16")
    values = evaluate(device, [low, high], drawn, [0, -4, 6], 6)
    assert values.dtype == "int16"
    np.testing.assert_array_equal(values.min(0), [0, -4, 6])
    np.testing.assert_array_equal(values.max(0), [6, 6, 6])


def test_large_integers(device: str) -> None:
    values = evaluate(device, [], RandomStreams(3).random_integers((N,), -(2**40), 2**40))
    assert distance(values.astype("float64"), lambda x: (x / 2**40 + 1) / 2) < KS_LIMIT


def test_choice(device: str) -> None:
    x = T.fvector("x")
    stream = RandomStreams(3)
    outputs = [stream.choice((300,), x), stream.choice((300,), 4), stream.choice((2, 3), [5, 7])]
    drawn, integers, few = evaluate(device, [x], outputs, np.float32([0.5, 1.5, 2.5]))
    assert drawn.dtype == "float32"
    for values, among in ((drawn, (0.5, 1.5, 2.5)), (integers, range(4))):
        found, counts = np.unique(values, return_counts=True)
        assert found.tolist() == list(among)
        assert counts.min() > 300 / len(among) / 2
    assert few.shape == (2, 3)
    assert set(few.ravel().tolist()) <= {5, 7}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_backend_draws_the_same(dtype: str) -> None:
    def outputs() -> list[theano.Variable]:
        draw = RandomStreams(11)
        return [
            draw.normal((50, 7), avg=3.0, std=0.5, dtype=dtype),
            T.sum(draw.normal((20, 30), dtype=dtype), axis=0),
            draw.binomial((40,), n=9, p=0.4, dtype=dtype),
            draw.random_integers((40,), -9, 9, dtype=dtype),
        ]

    theano.config.floatX = dtype
    first, *others = (evaluate(d, [], outputs()) for d in DEVICES)
    tolerance = 32 * np.finfo(dtype).eps
    for results in others:
        for result, expected in zip(results, first, strict=True):
            np.testing.assert_allclose(result, expected, rtol=tolerance, atol=8 * tolerance)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    results = []
    for threads in (1, 2, 4):
        theano.config.threads = threads
        draw = RandomStreams(11)
        outputs = [
            draw.normal((300, 400)),
            draw.binomial((5000,), n=20),
            T.sum(draw.normal((200_000,))),
            draw.uniform((100_003,)),
        ]
        function = theano.function([], outputs)
        results.append([*function(), *function.sweep(n_steps=2)])
    for other in results[1:]:
        for result, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(result, expected)


def test_a_sweep_draws_what_calls_draw(device: str) -> None:
    one = theano.function([], RandomStreams(4).normal((3,)))
    other = theano.function([], RandomStreams(4).normal((3,)))
    np.testing.assert_array_equal(one.sweep(n_steps=4), [other() for _ in range(4)])


def test_without_updates_a_draw_repeats(device: str) -> None:
    stream = RandomStreams(4)
    draw = stream.normal((3,))
    fixed = theano.function([], draw, no_default_updates=True)
    np.testing.assert_array_equal(fixed(), fixed())
    moving = theano.function([], draw, no_default_updates=True, updates=stream.updates())
    first = moving()
    assert not np.any(first == moving())
    assert stream.state_updates == stream.updates()


def test_the_gradient_of_a_reparametrised_draw(device: str) -> None:
    avg, std = T.dvector("avg"), T.dvector("std")
    drawn = RandomStreams(4).normal((4,), avg, std, dtype="float64")
    outputs = [drawn, *T.grad(T.sum(drawn**2), [avg, std])]
    a, s = np.arange(4.0), np.arange(1.0, 5)
    values, by_avg, by_std = evaluate(device, [avg, std], outputs, a, s)
    np.testing.assert_allclose(by_avg, 2 * values, rtol=1e-12)
    np.testing.assert_allclose(by_std, 2 * values * (values - a) / s, rtol=1e-9)


def test_arguments_that_do_not_fit() -> None:
    stream = RandomStreams(1)
    for draw, message in [
        (lambda: stream.binomial((3,), n=-1), "binomial with n=-1: it goes from 0"),
        (
            lambda: stream.binomial((3,), n=1.5),
            "n of binomial must be an integer scalar",
        ),
        (lambda: stream.normal((3,), avg=T.fmatrix("m")), "m, is larger than the size of the draw"),
        (lambda: stream.normal((3, 1), avg=T.fmatrix("m")), "m, is larger than the size"),
        (lambda: stream.normal((3,), ndim=2), "size has 1 lengths, but ndim is 2"),
        (lambda: stream.random_integers((3,), 0.5, 2), "random_integers: low is 0.5; it is of int"),
        (lambda: stream.choice((3,), T.fmatrix()), "choice takes a vector or an integer"),
        (lambda: stream.choice((3,), 4, replace=2), "replace"),
        (lambda: stream.choice((3,), 2, p=[[0.5, 0.5]]), "choice: p is a vector, not a"),
        (lambda: stream.multinomial((3,), 2**25), "multinomial with n=33554432: it goes from"),
        (lambda: stream.multinomial((3,), 1.5), "n of multinomial must be an integer scalar"),
        (lambda: stream.multinomial((3,), pvals=0.5), "multinomial: pvals are a vector or more"),
        (lambda: stream.permutation((3,), 2.5), "n of permutation must be an integer scalar"),
        (lambda: stream.poisson((3,), T.fmatrix("m")), "an argument, .* is larger than the size"),
    ]:
        with pytest.raises(GraphTypeError, match=message):
            draw()
