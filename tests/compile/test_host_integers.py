"""Integers that the host computes are those that a device computes, at the edges of every dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.types import INTEGERS

N = 12
X = np.arange(N)

EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a // b": lambda a, b: a // b,
    "a % b": lambda a, b: a % b,
    "-a": lambda a, b: -a,
    "max": T.maximum,
    "min": T.minimum,
    "a + 1 - b": lambda a, b: a + 1 - b,
    "a * 3 + 7": lambda a, b: a * 3 + 7,
    "(a + b) // 2": lambda a, b: (a + b) // 2,
    "-(a - b) % 5": lambda a, b: -(a - b) % 5,
    "a // -1": lambda a, b: a // -1,
    "a * a * b": lambda a, b: a * a * b,
    "int8(a)": lambda a, b: T.cast(a, "int8") + b,
    "uint16(a - b)": lambda a, b: T.cast(a - b, "uint16"),
    "uint32(a) - b": lambda a, b: T.cast(a, "uint32") - b,
    "int32(a * b)": lambda a, b: T.cast(a * b, "int32"),
}


def edges(dtype: str) -> list[int]:
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    return sorted({low, low + 1, max(low, -1), 0, 1, 3, high // 2, high - 1, high})


class Both:
    """An expression of two integer scalars, as a value and as the bounds of slices."""

    def __init__(self, name: str, first: str, second: str) -> None:
        a, b = T.scalar("a", first), T.scalar("b", second)
        self.divides = name in ("a // b", "a % b")
        x = T.lvector("x")
        result = EXPRESSIONS[name](a, b)
        arguments = {"on_unused_input": "ignore"}
        self.value = theano.function([a, b], result, **arguments)
        self.slices = theano.function([x, a, b], [x[:result], x[result:]], **arguments)

    def check(self, first: int, second: int) -> None:
        """The two agree; or the bound is refused, where it would divide by 0."""
        value = int(self.value(first, second))
        if self.divides and second == 0:
            with pytest.raises(ValueError, match=r"divides by 0(?s:.*)test_host_integers\.py"):
                self.slices(X, first, second)
            return
        head, tail = self.slices(X, first, second)
        np.testing.assert_array_equal(head, X[:value], err_msg=f"{first}, {second}: {value}")
        np.testing.assert_array_equal(tail, X[value:], err_msg=f"{first}, {second}: {value}")


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_bounds_are_the_values_of_their_expressions(name: str, dtype: str) -> None:
    both = Both(name, dtype, dtype)
    for first in edges(dtype):
        for second in edges(dtype):
            both.check(first, second)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(EXPRESSIONS)))
def test_bounds_of_mixed_dtypes(data: st.DataObject, name: str) -> None:
    dtypes = [data.draw(st.sampled_from(INTEGERS)) for _ in range(2)]
    both = Both(name, *dtypes)
    for _ in range(3):
        infos = [np.iinfo(d) for d in dtypes]
        both.check(*(data.draw(st.integers(int(i.min), int(i.max))) for i in infos))


def test_later_calls_wrap_too(device: str) -> None:
    """One plan serves integers that wrap and such that don't."""
    x, i = T.lvector("x"), T.scalar("i", "int8")
    function = theano.function([x, i], x[i * 2 + 100])
    for number in (-48, 0, -47, 127, -128):
        index = int(np.int8(np.int64(number * 2 + 100).astype("int8")))
        if -N <= index < N:
            assert function(X, number) == X[index]
        else:
            with pytest.raises(IndexError, match=f"index {index} is out of range"):
                function(X, number)


def test_lengths_and_reshapes_wrap_too(device: str) -> None:
    n = T.lscalar("n")
    values = theano.function([n], [T.arange(n * 4), T.zeros((n + 1,)), T.ones(6).reshape((n, -1))])
    lengths = [v.shape for v in values(2)]
    assert lengths == [(8,), (3,), (2, 3)]
    assert theano.function([n], T.arange(n * 4))(2**62 + 1).tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="lengths can't be negative"):
        theano.function([n], T.zeros((n + 1,)))(2**63 - 1)
