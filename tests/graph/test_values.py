"""Checks of plain values: what passes unchanged, and what each refusal says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError, AxisError, GraphTypeError
from tinygrad_mnist.graph.values import (
    axis_numbers,
    choice,
    flag,
    integer,
    number,
    plain_array,
    several,
)


def test_what_passes() -> None:
    assert integer(np.int8(-3), "n") == -3
    assert integer(np.array(4), "n", least=4) == 4
    assert flag(np.True_, "f") is True
    assert flag(0, "f") is False
    assert number(np.float32(0.5), "x") == 0.5
    assert choice("a", ("a", "b"), "c") == "a"
    assert several(range(3), "s") == [0, 1, 2]
    assert axis_numbers([-1, 0], 3) == (2, 0)
    assert axis_numbers(np.int64(1), 2) == (1,)
    value = np.arange(3)
    assert plain_array(value, "a") is value


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: integer(True, "n"), GraphTypeError, "n is True; it must be an integer"),
    (lambda: integer(2.0, "n"), GraphTypeError, r"n is 2\.0; it must be an integer"),
    (lambda: integer(0, "n", 1), ArgumentError, "n is 0; it must be at least 1"),
    (lambda: integer(T.iscalar("k"), "n"), GraphTypeError, "n is the symbolic `k`"),
    (lambda: flag(2, "f"), GraphTypeError, "f is 2; it must be True or False"),
    (lambda: flag(np.array([1, 0]), "f"), GraphTypeError, "it must be True or False"),
    (lambda: number("1", "x"), GraphTypeError, "x is '1'; it must be a number"),
    (lambda: choice("z", ("a", "b"), "c"), ArgumentError, "c is 'z'; it can be 'a' or 'b'"),
    (lambda: choice(["a"], ("a",), "c"), GraphTypeError, r"c is \['a'\]; it can be 'a'"),
    (lambda: several(3, "s"), GraphTypeError, "s is 3; it must be a list or tuple of integers"),
    (lambda: several(T.vector("v"), "s"), GraphTypeError, "s is the symbolic `v`"),
    (lambda: several({1: 2}, "s"), GraphTypeError, "s is {1: 2}; it must be a list"),
    (lambda: axis_numbers((0, -2), 2), ArgumentError, r"named twice in \(0, -2\)"),
    (lambda: axis_numbers(2, 2), AxisError, "axis 2 is out of range for 2 dimensions"),
    (lambda: plain_array("abc", "a"), GraphTypeError, "a is 'abc' .* an array of numbers"),
    (lambda: plain_array([[1], [1, 2]], "a"), GraphTypeError, "equally long"),
    (lambda: plain_array([T.scalar("t")], "a"), GraphTypeError, "T.stack makes one variable"),
    (lambda: plain_array(2**70, "a"), GraphTypeError, "which no dtype holds"),
    (lambda: plain_array("x" * 999, "a"), GraphTypeError, r"a is 'x{59}\.\.\. \(str\)"),
]


@pytest.mark.parametrize(("check", "kind", "message"), REFUSED)
def test_what_is_refused(check: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        check()


@pytest.mark.parametrize("nesting", [lambda a: a, lambda a: [a], lambda a: [[a, 1.0], (2.0, 3.0)]])
@pytest.mark.parametrize("masked", [np.ma.masked_array([1.0, 2.0], [False, True]), np.ma.masked])
def test_masked_arrays_are_refused_at_any_depth(nesting: Callable[[Any], Any], masked: Any) -> None:
    with pytest.raises(GraphTypeError, match="a is a masked array, whose mask would be lost"):
        plain_array(nesting(masked), "a")


def test_errors_are_of_the_kinds_that_programs_catch() -> None:
    assert issubclass(ArgumentError, TypeError)
    assert issubclass(ArgumentError, ValueError)
    assert issubclass(AxisError, IndexError)
