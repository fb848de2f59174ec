"""Bounds, seeds and parameters of random draws: right to the edges, or an error with its line."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.types import INTEGERS
from tinygrad_mnist.tensor.random_integers import integers_from
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

N = 20_000
LOW, HIGH = -(2**63), 2**63 - 1
LINE = rf"made at .*{Path(__file__).name}:\d+"


def positions(values: Any, low: int, high: int) -> Any:
    """Where integers are between their bounds, from 0 to 1; exact for those of 64 bits."""
    assert all(low <= int(v) <= high for v in (values.min(), values.max()))
    span = max(high - low, 1)
    return np.array([(int(v) - low) / span for v in values.ravel()])


BOUNDS = [
    (-100, 100), (-128, 127), (0, 200), (-32768, 32767), (40000, 50000), (-3, -3), (0, 2**32 - 1),
    (-(2**31), 2**31 - 1), (-(2**40), 2**41), (0, 2**53 - 1), (0, 2**53), (-(2**53), 2**53),
    (-(2**62), 2**62), (LOW, 0), (0, HIGH), (-(2**62), HIGH), (LOW, HIGH), (LOW, LOW), (HIGH, HIGH),
    (HIGH - 1, HIGH), (LOW, LOW + 1),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_numbers_as_bounds(low: int, high: int) -> None:
    values = theano.function([], RandomStreams(3).random_integers((N,), low, high))()
    _check_uniform(values, low, high)


def _check_uniform(values: Any, low: int, high: int) -> None:
    assert values.dtype == "int64"
    if high - low < 300:
        assert set(values.tolist()) == set(range(low, high + 1))
    if high > low:
        where = np.sort(positions(values, low, high))
        steps = (np.arange(len(where)) + 0.5) / len(where)
        width = 1 / min(high - low, 10**6)  # of a step of the distribution itself
        assert np.abs(where - steps).max() < 1.9 / sqrt(len(where)) + width
    else:
        assert set(values.tolist()) == {low}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_variables_of_every_dtype_as_bounds(device: str, dtype: str) -> None:
    low, high = T.scalar("low", dtype), T.scalar("high", dtype)
    drawn = RandomStreams(3).random_integers((5000,), low, high)
    function = theano.function([low, high], drawn)
    info = np.iinfo(dtype)
    for bounds in ((info.min, info.max), (info.max, info.max), (info.min, info.min + 1), (3, 50)):
        _check_uniform(function(*map(int, bounds)), *map(int, bounds))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_dtype_of_the_result_to_its_edges(device: str, dtype: str) -> None:
    info = np.iinfo(dtype)
    drawn = RandomStreams(3).random_integers((2000,), int(info.min), int(info.max), dtype=dtype)
    values = evaluate(device, [], drawn)
    assert values.dtype == dtype
    assert abs(positions(values, int(info.min), int(info.max)).mean() - 0.5) < 0.03
    for bounds in ((int(info.min) - 1, 0), (0, int(info.max) + 1)):
        if dtype != "int64":
            with pytest.raises(ValueError, match=f"which {dtype} can't hold(?s:.*){LINE}"):
                RandomStreams(3).random_integers((2,), *bounds, dtype=dtype)


def test_arrays_as_bounds_with_spans_of_all_sizes(device: str) -> None:
    low, high = T.lvector("low"), T.lvector("high")
    drawn = RandomStreams(3).random_integers((500, 4), low, high)
    lows, highs = [LOW, -5, 0, HIGH], [HIGH, 5, 2**53 + 1, HIGH]
    values = evaluate(device, [low, high], drawn, lows, highs)
    for column, (a, b) in enumerate(zip(lows, highs, strict=True)):
        _check_uniform(values[:, column], a, b)


@settings(max_examples=60, deadline=None)
@given(
    low=st.integers(LOW, HIGH),
    span=st.integers(0, 2**64 - 1),
    bits=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)
def test_the_wide_product_is_exact(low: int, span: int, bits: tuple[int, int]) -> None:
    """By 64 random bits r: low + floor(r (span + 1) / 2**64)."""
    high = min(HIGH, low + span)
    if high - low < 2**53:
        low = LOW
        high = low + max(span, 2**53)
        high = min(HIGH, high)
    a, b, u, v = T.lscalar("a"), T.lscalar("b"), T.dscalar("u"), T.dscalar("v")
    result = integers_from(a, b, lambda k: (u, v)[k], 2**64 - 1)
    value = theano.function([a, b, u, v], result)(low, high, bits[0] / 2**32, bits[1] / 2**32)
    r = bits[0] * 2**32 + bits[1]
    assert int(value) == low + r * (high - low + 1) // 2**64


# --- what is no distribution ----------------------------------------------------------------------

WRONG: dict[str, tuple[Callable[[RandomStreams, Any], Any], list[Any], Any, str]] = {
    "low > high": (
        lambda s, v: s.random_integers((3,), v, 4), [5, HIGH, [1, 2, 5]], 4,
        "random_integers: low is greater than high",
    ),
    "high < low": (
        lambda s, v: s.random_integers((3,), 0, v), [-1, LOW, [1, -2, 5]], 0,
        "random_integers: low is greater than high",
    ),
    "p": (
        lambda s, v: s.binomial((3,), p=v), [1.5, -0.25, float("nan"), [0.5, 2.0, 0.5]], 1.0,
        "binomial: p is not between 0 and 1",
    ),
    "p of several trials": (
        lambda s, v: s.binomial((3,), n=4, p=v), [2.0, float("inf")], 0.0,
        "binomial: p is not between 0 and 1",
    ),
    "std": (
        lambda s, v: s.normal((3,), 1.0, v), [-1.0, -1e-30, float("nan"), [1.0, -1.0, 0.0]], 0.0,
        "normal: std is negative or NaN",
    ),
    "choice": (
        lambda s, v: s.choice((3,), v), [0, -5], 1, "choice: there is nothing to choose from",
    ),
}  # fmt: skip


def _variable(value: Any, name: str = "v") -> Any:
    dtype = "int64" if np.asarray(value).dtype.kind == "i" else "float32"
    return T.tensor(dtype, (False,) * np.ndim(value), name)


@pytest.mark.parametrize("name", WRONG)
def test_numbers_that_make_no_distribution(name: str) -> None:
    draw, wrong, right, message = WRONG[name]
    for value in wrong:
        with pytest.raises(ArgumentError, match=f"{message}(?s:.*){LINE}"):
            draw(RandomStreams(1), np.array(value) if isinstance(value, list) else value)
    assert theano.function([], draw(RandomStreams(1), right))().shape == (3,)


@pytest.mark.parametrize("name", WRONG)
def test_variables_that_make_no_distribution(device: str, name: str) -> None:
    """The step changes nothing: after an error the stream goes on where it was."""
    draw, wrong, right, message = WRONG[name]
    for value in wrong:
        v = _variable(value)
        stream, other = RandomStreams(1), RandomStreams(1)
        function = theano.function([v], draw(stream, v), allow_input_downcast=True)
        undisturbed = theano.function([v], draw(other, v), allow_input_downcast=True)
        good = np.full(np.shape(value), right)
        np.testing.assert_array_equal(function(good), undisturbed(good))
        with pytest.raises(ArgumentError, match=f"{message}(?s:.*){LINE}"):
            function(value)
        np.testing.assert_array_equal(function(good), undisturbed(good))


@pytest.mark.parametrize("name", WRONG)
def test_filled_values_that_make_no_distribution(device: str, name: str) -> None:
    """A number that fills a shape of the call is seen only when the plan is made."""
    draw, wrong, _, message = WRONG[name]
    for value in wrong:
        if name == "choice" or isinstance(value, list):
            continue
        x = T.fvector("x")
        dtype = "int64" if isinstance(value, int) else "float32"
        filled = T.alloc(T.constant(np.asarray(value, dtype)), x.shape[0])
        function = theano.function([x], draw(RandomStreams(1), filled))
        with pytest.raises(ArgumentError, match=message):
            function(np.ones(3, np.float32))


def test_a_choice_of_nothing_when_it_is_called() -> None:
    w = T.lvector("w")
    function = theano.function([w], RandomStreams(1).choice((3,), w))
    assert set(function([4, 5]).tolist()) <= {4, 5}
    with pytest.raises(ValueError, match=f"there is nothing to choose from(?s:.*){LINE}"):
        function(np.zeros(0, "int64"))


def test_gradients_pass_an_argument_that_is_checked(device: str) -> None:
    std = T.dvector("std")
    drawn = RandomStreams(4).normal((3,), 0.0, std, dtype="float64")
    values, slopes = evaluate(
        device, [std], [drawn, T.grad(drawn.sum(), std)], np.array([1.0, 2.0, 4.0])
    )
    np.testing.assert_allclose(slopes * [1, 2, 4], values, rtol=1e-12)


# --- seeds ----------------------------------------------------------------------------------------

SEEDS = [
    *(0, 1, 5, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**32 + 5, 2**33 + 1, 2**40 + 1),
    *(2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1),
]


def test_seeds_count_whole(device: str) -> None:
    draws = [RandomStreams(seed).uniform((8, 8)) for seed in SEEDS]
    values = theano.function([], draws)()
    for i, a in enumerate(values):
        for b in values[:i]:
            assert len(np.intersect1d(a, b)) == 0


def test_no_seed_begins_in_another_ones_stream() -> None:
    functions = [theano.function([], RandomStreams(seed).uniform((4,))) for seed in SEEDS]
    steps = [tuple(f().tolist()) for f in functions for _ in range(20)]
    assert len(set(steps)) == len(steps)


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**64, 10**30])
def test_seeds_that_are_none(seed: int) -> None:
    with pytest.raises(ValueError, match=f"the seed is {seed}; it is from 0 to 2\\*\\*64 - 1"):
        RandomStreams(seed)
    stream = RandomStreams(1)
    with pytest.raises(ValueError, match="the seed is"):
        stream.seed(seed)


def test_numpy_seeds() -> None:
    seeds = (7, np.int8(7), np.uint64(7), np.int64(7))
    draws = [theano.function([], RandomStreams(s).uniform((3,)))() for s in seeds]
    for draw in draws[1:]:
        np.testing.assert_array_equal(draw, draws[0])


def test_narrow_bounds_take_one_draw() -> None:
    """Two draws, and their product, only where the bounds may be that far apart."""
    v, i, k = T.fvector("v"), T.iscalar("i"), T.lscalar("k")
    stream = RandomStreams(1)
    narrow = [stream.random_integers((4,), 0, 9), stream.random_integers((4,), i, 7)]
    narrow += [stream.choice((4,), v), stream.choice((4,), 5)]
    wide = [stream.random_integers((4,), 0, k), stream.random_integers((4,), LOW, HIGH)]
    for draws, count in ((narrow, 1), (wide, 2)):
        for drawn in draws:
            uniform = [node for node in toposort([drawn]) if node.op.name == "uniform"]
            assert len({node.params["key"] for node in uniform}) == count
