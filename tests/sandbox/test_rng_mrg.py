"""`MRG_RandomStreams`: the interface of Theano's, its distributions and its states."""

from __future__ import annotations

import copy
import pickle
from itertools import permutations
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.sandbox.rng_mrg import M1, M2, MRG_RandomStreams

N = 20_000
A, S = T.dvector("a"), T.dvector("s")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments(device: str, dtype: str) -> None:
    stream = MRG_RandomStreams(7)
    outputs = [
        stream.uniform((N,), -1.0, 3.0, dtype=dtype, nstreams=10),
        stream.normal((N // 2, 2), 2.0, 3.0, dtype=dtype),
        stream.normal((N,), 1.0, 2.0, dtype=dtype, truncate=True),
        stream.truncated_normal(size=(N,), avg=1.0, std=2.0, dtype=dtype),
    ]
    flat, normal, cut, cut_std = evaluate(device, [], outputs)
    for values, mean, std in (
        (flat, 1, 4 / sqrt(12)),
        (normal, 2, 3),
        (cut, 1, 2 * 0.8796256610342398),
        (cut_std, 1, 2),
    ):
        assert values.dtype == dtype
        assert abs(values.mean() - mean) < 4 * std / sqrt(N)
        assert abs(values.std() - std) < 4 * std / sqrt(N)
    assert np.abs(cut - 1).max() <= 4
    assert np.abs(cut - 1).max() > 3.95
    assert np.abs(cut_std - 1).max() <= 4 / 0.8796


def test_a_truncated_normal_has_the_right_distribution(device: str) -> None:
    values = np.sort(evaluate(device, [], MRG_RandomStreams(3).normal((N,), truncate=True)))
    below = NormalDist().cdf(-2)
    exact = [(NormalDist().cdf(v) - below) / (1 - 2 * below) for v in values.tolist()]
    steps = (np.arange(N) + 0.5) / N
    assert np.abs(exact - steps).max() < sqrt(np.log(2 / 1e-4) / 2 / N)


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (20, 0.7)])
@pytest.mark.parametrize("dtype", ["int8", "int64", "float32", "float64"])
def test_binomial(device: str, n: int, p: float, dtype: str) -> None:
    values = evaluate(device, [], MRG_RandomStreams(5).binomial((N,), n, p, dtype=dtype))
    assert values.dtype == dtype
    assert abs(values.astype("float64").mean() - n * p) < 4 * sqrt(n * p * (1 - p) / N)


def test_symbolic_sizes_and_parameters(device: str) -> None:
    x, p = T.fmatrix("x"), T.fmatrix("p")
    stream = MRG_RandomStreams(5)
    outputs = [
        stream.binomial(size=x.shape, p=p, ndim=2),
        stream.uniform((x.shape[0], 2)),
        stream.normal(x.shape, avg=x, ndim=2),
    ]
    ones, sure = np.ones((300, 2), "float32"), np.float32([[0, 1]])
    coins, flat, normal = evaluate(device, [x, p], outputs, 5 * ones, ones * sure)
    np.testing.assert_array_equal(coins, ones * sure)
    assert flat.shape == (300, 2)
    assert abs(normal.mean() - 5) < 0.2


def test_gradients_of_draws(device: str) -> None:
    stream = MRG_RandomStreams(4)
    normal = stream.normal((4,), A, S, dtype="float64")
    uniform = stream.uniform((4,), A, S, dtype="float64")
    outputs = [normal, uniform, *T.grad(T.sum(normal), [A, S]), *T.grad(T.sum(uniform), [A, S])]
    a, s = np.arange(4.0), np.arange(2.0, 6)
    z, u, z_a, z_s, u_a, u_s = evaluate(device, [A, S], outputs, a, s)
    np.testing.assert_allclose(z_a, np.ones(4))
    np.testing.assert_allclose(z_s, (z - a) / s, rtol=1e-9)
    np.testing.assert_allclose(u_s, (u - a) / (s - a), rtol=1e-9)
    np.testing.assert_allclose(u_a, 1 - u_s, rtol=1e-9)


def test_multinomial(device: str) -> None:
    p = T.fmatrix("p")
    rows = np.float32([[0.98, 0.01, 0.01], [0.01, 0.49, 0.5]])
    stream = MRG_RandomStreams(5)
    one, many = evaluate(
        device,
        [p],
        [stream.multinomial(pvals=p, dtype="float32"), stream.multinomial(n=5000, pvals=p)],
        rows,
    )
    assert one.dtype == "float32"
    np.testing.assert_array_equal(one.sum(1), 1)
    np.testing.assert_array_equal(many.sum(1), 5000)
    np.testing.assert_allclose(many / 5000, rows, atol=0.03)


def test_choices_of_rows(device: str) -> None:
    p, n = T.dmatrix("p"), T.lscalar("n")
    rows = np.tile([[0.6, 0.3, 0.1, 0.0]], (4000, 1))
    stream = MRG_RandomStreams(5)
    with pytest.warns(DeprecationWarning, match="old name of choice"):
        old = stream.multinomial_wo_replacement(n=2, pvals=p)
    outputs = [
        stream.choice(n, replace=False, p=p),
        old,
        stream.choice(3, replace=True, p=p, dtype="int16"),
    ]
    two, other, repeated = evaluate(device, [p, n], outputs, rows, 2)
    for drawn in (two, other):
        assert (drawn.shape, drawn.dtype) == ((4000, 2), "int64")
        for i, j in permutations(range(3), 2):
            expected = rows[0, i] * rows[0, j] / (1 - rows[0, i])
            assert abs((drawn == (i, j)).all(1).mean() - expected) < 0.03
        assert drawn.max() == 2
    assert (repeated.shape, repeated.dtype) == ((4000, 3), "int16")
    np.testing.assert_allclose(np.bincount(repeated.ravel()) / 12000, [0.6, 0.3, 0.1], atol=0.02)
    with pytest.raises(ValueError, match="fewer elements to choose from"):
        theano.function([p, n], outputs[0])(rows, 4)


# --- states ---------------------------------------------------------------------------------------


def test_seeds() -> None:
    stream = MRG_RandomStreams(seed=234, use_cuda=False)
    draw = stream.uniform((5,))
    function = theano.function([], draw)
    first, second = function(), function()
    assert not np.any(first == second)
    stream.seed()
    np.testing.assert_array_equal(function(), first)
    stream.seed(1)
    assert not np.any(function() == first)
    stream.set_rstate([234] * 6)
    np.testing.assert_array_equal(function(), first)
    stream.set_rstate([1, 2, 3, 4, 5, 6])
    assert not np.any(function() == first)
    other = MRG_RandomStreams(234)
    other.inc_rstate()
    assert not np.any(theano.function([], other.uniform((5,)))() == first)
    assert np.all(theano.function([], MRG_RandomStreams(seed=12345).uniform((3,)))() < 1)


def test_updates_and_states() -> None:
    stream = MRG_RandomStreams(3)
    draw = stream.normal((3,))
    held = theano.function([], draw, no_default_updates=True)
    np.testing.assert_array_equal(held(), held())
    moving = theano.function([], draw, no_default_updates=True, updates=stream.updates())
    assert not np.any(moving() == moving())
    twin = MRG_RandomStreams(99)
    drawn = theano.function([], twin.normal((3,)))
    twin.rstate = stream.rstate
    for ours, theirs in zip(twin.state_updates, stream.state_updates, strict=True):
        ours[0].set_value(theirs[0].get_value())
    np.testing.assert_array_equal(drawn(), moving())
    assert draw.update == stream.updates()[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("again", [lambda v: pickle.loads(pickle.dumps(v)), copy.deepcopy])
def test_a_stream_is_pickled(again: Any) -> None:
    stream = MRG_RandomStreams(3)
    theano.function([], stream.uniform((3,)))()
    other = again(stream)
    np.testing.assert_array_equal(
        *[theano.function([], s.uniform((3,)))() for s in (stream, other)]
    )
    other.seed()
    assert other.rstate != stream.rstate


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: MRG_RandomStreams(0), ArgumentError, "the seed is 0"),
        (lambda s: MRG_RandomStreams(M2), ArgumentError, "the seed is"),
        (lambda s: MRG_RandomStreams(-1), ArgumentError, "the seed is -1"),
        (lambda s: MRG_RandomStreams([0, 0, 0, 1, 1, 1]), ArgumentError, "not all three"),
        (lambda s: MRG_RandomStreams([M1, 1, 1, 1, 1, 1]), ArgumentError, "the seed is"),
        (lambda s: MRG_RandomStreams([1, 2, 3]), GraphTypeError, "one integer or six"),
        (lambda s: MRG_RandomStreams("1"), GraphTypeError, "one integer or six"),  # type: ignore[arg-type]
        (lambda s: s.uniform((3, 0)), ArgumentError, "its lengths are positive"),
        (lambda s: s.normal(-1), ArgumentError, "its lengths are positive"),
        (lambda s: s.normal((2,), std=-1.0), ArgumentError, "std is negative"),
        (lambda s: s.binomial((2,), p=1.5), ArgumentError, "not between 0 and 1"),
        (lambda s: s.uniform((2,), nstreams=0), ArgumentError, "nstreams is 0"),
        (lambda s: s.multinomial(), GraphTypeError, "needs pvals"),
        (lambda s: s.multinomial((2,), pvals=[[1.0]]), ArgumentError, "size is .* it is not used"),
        (lambda s: s.multinomial(pvals=[[-0.5, 1.5]]), ArgumentError, "negative or NaN"),
        (lambda s: s.choice(2), GraphTypeError, "needs p"),
        (lambda s: s.choice(2, 4, p=[[1.0]]), GraphTypeError, "a is 4"),
        (lambda s: s.choice(2, p=[1.0]), GraphTypeError, "p is a matrix"),
        (lambda s: s.choice(2, p=[[1.0]], ndim=2), ArgumentError, "ndim is 2"),
    ],
)
def test_wrong_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(MRG_RandomStreams(1))
