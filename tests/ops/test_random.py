"""Random streams: repeatable, independent, the same on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.backends import DEVICES
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.contracts.core.philox import philox4x32
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

# From Random123's kat_vectors: counter, key, result.
KNOWN_ANSWERS = [
    ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_philox_known_answers(counter: list[int], key: tuple[int, int], words: list[int]) -> None:
    assert philox4x32(np.array([counter], "uint32"), key).tolist() == [words]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_backend_draws_the_same(dtype: str) -> None:
    x = T.matrix("x", dtype)
    values = np.random.default_rng(1).normal(size=(4, 6)).astype(dtype)

    def outputs() -> list[theano.Variable]:
        draw = RandomStreams(7)
        mask = draw.binomial(size=x.shape, p=0.7, dtype=dtype)
        return [
            draw.uniform((5, 3), dtype=dtype),
            x * mask,
            T.sum(draw.uniform((4, 6), dtype=dtype) * x, axis=0),
            T.dot(x, x.T).T * draw.uniform((4, 4), dtype=dtype),
            T.sum(draw.uniform((7, 9), dtype=dtype)),
            draw.uniform(dtype=dtype),
            draw.uniform((3, 1), dtype=dtype) + draw.uniform((4,), dtype=dtype),
        ]

    first, *others = ([*evaluate(d, [x], outputs(), values)] for d in DEVICES)
    for results in others:
        for result, expected in zip(results, first, strict=True):
            np.testing.assert_allclose(result, expected, rtol=2e-6)


def test_each_call_draws_anew_and_a_seed_repeats_everything(device: str) -> None:
    def three_calls() -> list[Any]:
        function = theano.function([], RandomStreams(3).uniform((4,)))
        return [function() for _ in range(3)]

    first, second = three_calls(), three_calls()
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first)) == 12


def test_two_draws_of_a_stream_differ(device: str) -> None:
    stream = RandomStreams(3)
    one, two = evaluate(device, [], [stream.uniform((50,)), stream.uniform((50,))])
    assert not np.any(one == two)


def test_two_seeds_differ(device: str) -> None:
    draws = [RandomStreams(seed).uniform((50,)) for seed in (1, 2)]
    one, two = evaluate(device, [], draws)
    assert not np.any(one == two)


def test_a_draw_that_is_read_twice_is_drawn_once(device: str) -> None:
    u = RandomStreams(1).uniform((9,))
    np.testing.assert_array_equal(evaluate(device, [], u - u), np.zeros(9))


def test_seed_starts_again(device: str) -> None:
    stream = RandomStreams(5)
    function = theano.function([], stream.uniform((3,)))
    first = function()
    assert not np.array_equal(function(), first)
    stream.seed(5)
    np.testing.assert_array_equal(function(), first)


def test_seed_reaches_the_variables_of_the_stream(device: str) -> None:
    """What a stream draws after seed(s) is what one made with s draws, in each of its variables."""
    stream, other = RandomStreams(5), RandomStreams(2**32 - 1)
    functions = [
        theano.function([], s.uniform((3,)) + 10 * s.uniform((3,))) for s in (stream, other)
    ]
    functions[0]()
    stream.seed(2**32 - 1)
    for _ in range(3):
        np.testing.assert_array_equal(functions[0](), functions[1]())
    later = stream.uniform((3,))
    assert not np.array_equal(theano.function([], later)(), functions[1]())


def test_no_default_updates_repeats_the_draw(device: str) -> None:
    u = RandomStreams(5).uniform((3,))
    function = theano.function([], u, no_default_updates=True)
    np.testing.assert_array_equal(function(), function())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_fills_its_range(device: str, dtype: str) -> None:
    u = RandomStreams(2).uniform((100, 100), low=-2.0, high=3.0, dtype=dtype)
    values = evaluate(device, [], u)
    assert values.dtype == dtype
    assert values.min() >= -2
    assert values.max() < 3
    assert values.mean() == pytest.approx(0.5, abs=5 * np.sqrt(25 / 12 / 10_000))
    assert len(np.unique(values)) > 9_980


@pytest.mark.parametrize("float_x", ["float32", "float64"])
def test_dtypes(float_x: str) -> None:
    theano.config.floatX = float_x
    stream = RandomStreams(2)
    assert stream.uniform((3,)).dtype == float_x
    assert stream.uniform((3,), dtype="float32").dtype == "float32"
    assert stream.uniform((3,), -1, 1, dtype="float64").dtype == "float64"
    assert stream.binomial((3,)).dtype == "int64"


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_binomial_has_its_probability(device: str, p: float) -> None:
    values = evaluate(device, [], RandomStreams(4).binomial((200, 50), p=p, dtype="float32"))
    assert set(np.unique(values)) <= {0.0, 1.0}
    assert values.mean() == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / 10_000))


def test_binomial_of_a_symbolic_probability(device: str) -> None:
    p = T.fscalar("p")
    mask = RandomStreams(4).binomial((1000,), p=p)
    function = theano.function([p], T.mean(mask))
    assert function(0.9) == pytest.approx(0.9, abs=0.05)
    assert function(0.0) == 0


def test_shape_of_another_variable(device: str) -> None:
    x = T.fmatrix("x")
    function = theano.function([x], x * RandomStreams(4).binomial(x.shape, dtype="float32", ndim=2))
    for shape in ((2, 3), (5, 1), (0, 4)):
        assert function(np.ones(shape, "float32")).shape == shape


def test_dropout_has_the_gradient_of_its_mask(device: str) -> None:
    x = T.dmatrix("x")
    mask = RandomStreams(4).binomial((3, 4), dtype="float64")
    outputs = [mask, T.grad(T.sum((x * mask) ** 2), x)]
    drawn, gradient = evaluate(device, [x], outputs, np.full((3, 4), 2.0))
    np.testing.assert_array_equal(gradient, 4 * drawn)


def test_errors() -> None:
    with pytest.raises(TypeError, match="the seed is 'a'"):
        RandomStreams("a")  # type: ignore[arg-type]
