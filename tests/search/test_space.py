from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.search import choice, integers, log_uniform, uniform
from tinygrad_mnist.search.space import grid, key_of, listed, ranges, sample


def test_a_grid_is_every_combination_the_last_setting_fastest() -> None:
    space = ranges({"a": [1, 2], "b": integers(0, 4, 2), "c": "x", "d": choice((8, 8), (16,))})
    points = grid(space)
    assert points[0] == {"a": 1, "b": 0, "c": "x", "d": (8, 8)}
    assert points[1] == {"a": 1, "b": 0, "c": "x", "d": (16,)}
    assert [(p["a"], p["b"]) for p in points[::2]] == [(a, b) for a in (1, 2) for b in (0, 2, 4)]
    assert len(points) == 12


def test_a_list_of_settings_is_taken_as_it_is() -> None:
    points = [{"a": 3, "b": [1, 2]}, {"b": (), "a": np.float32(0.5)}]
    assert listed(points) == [{"a": 3, "b": [1, 2]}, {"a": 0.5, "b": ()}]


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        ([], ArgumentError, "list at least one dict of settings"),
        ([{"a": 1}, 7], GraphTypeError, "space has 7; each must be a dict"),
        ([{"a": 1}, {"a": 1, "b": 2}], ArgumentError, "settings of a, b behind those of a; "),
        ([{"a": 1}, {}], ArgumentError, "settings of nothing behind those of a; "),
        ([{"a": 1}, {"a": 2}, {"a": 1}], ArgumentError, "the same settings twice"),
        ([{"a": print}], GraphTypeError, "setting 'a' is "),
        ([{"a b": 1}], GraphTypeError, "'a b' can't be the name of a setting"),
        ([{}], ArgumentError, "space is empty"),
    ],
)
def test_wrong_lists(points: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        listed(points)


@given(
    st.floats(1e-6, 1e3),
    st.floats(1.001, 1e6),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_draws_are_within_the_bounds(low: float, factor: float, seed: int, is_log: bool) -> None:
    high = low * factor
    of = log_uniform(low, high) if is_log else uniform(low, high)
    values = [p["x"] for p in sample(ranges({"x": of}), 5, seed)]
    assert all(low <= value <= high for value in values)
    assert all(value in (low, high) or float(f"{value:.6g}") == value for value in values)


@pytest.mark.parametrize("is_log", [False, True])
def test_draws_are_uniform(is_log: bool) -> None:
    of = log_uniform(1e-4, 1) if is_log else uniform(-1, 1)
    values = [p["x"] for p in sample(ranges({"x": of}), 2000, 1)]
    parts = np.log(values) / math.log(1e-4) if is_log else (np.array(values) + 1) / 2
    counts, _ = np.histogram(parts, 4, (0, 1))
    assert np.all(np.abs(counts - 500) < 80)


@given(st.integers(1, 30), st.integers(0, 2**32))
def test_random_points_differ_and_more_runs_begin_with_the_same(runs: int, seed: int) -> None:
    space = ranges({"a": integers(1, 5), "b": ["x", "y", "z"], "c": 7})
    points = sample(space, runs, seed)
    assert len({key_of(p) for p in points}) == len(points) == min(runs, 15)
    assert points == sample(space, 30, seed)[:runs]


def test_a_setting_does_not_depend_on_the_others() -> None:
    alone = sample(ranges({"a": uniform(0, 1)}), 5, 3)
    beside = sample(ranges({"b": uniform(0, 1), "a": uniform(0, 1)}), 5, 3)
    assert [p["a"] for p in alone] == [p["a"] for p in beside]
    assert [p["a"] for p in beside] != [p["b"] for p in beside]


def test_numbers_of_numpy_become_pythons() -> None:
    points = grid(ranges({"a": np.arange(2).tolist(), "b": [np.float32(0.5)], "c": np.int64(3)}))
    assert [type(value) for value in points[0].values()] == [int, float, int]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ranges({}), ArgumentError, "space is empty: name at least one setting"),
        (lambda: ranges([]), GraphTypeError, r"space is \[\]; it must be a dict"),  # type: ignore[arg-type]
        (lambda: ranges({"a": []}), ArgumentError, "setting 'a': choice has no values"),
        (lambda: ranges({"a b": [1]}), GraphTypeError, "'a b' can't be the name of a setting"),
        (lambda: ranges({1: [1]}), GraphTypeError, "1 can't be the name"),  # type: ignore[dict-item]
        (lambda: ranges({"a": [object]}), GraphTypeError, "setting 'a': a value of choice is"),
        (lambda: ranges({"a": object()}), GraphTypeError, "setting 'a': it is <object"),
        (lambda: choice(1, 2, 1), ArgumentError, r"choice has a value twice: \[1, 2, 1\]"),
        (lambda: uniform(1, 1), ArgumentError, r"uniform\(1, 1\): low must be below high"),
        (lambda: uniform(0, math.inf), ArgumentError, "both finite"),
        (lambda: uniform("a", 1), GraphTypeError, "low of uniform is 'a'"),  # type: ignore[arg-type]
        (lambda: log_uniform(0, 1), ArgumentError, "both bounds must be positive"),
        (lambda: integers(3, 2), ArgumentError, r"integers\(3, 2\) has no values"),
        (lambda: integers(1, 2, 0), ArgumentError, "step of integers is 0"),
        (lambda: grid(ranges({"a": uniform(0, 1)})), ArgumentError, "give `runs`"),
    ],
)
def test_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
