"""Updates of a part from another that overlaps it, touches it or lies beside it: the old values
are read before they are overwritten, also where a kernel's chunks run on several threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import config

LARGE = 200_000  # elements: several chunks on every number of threads
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "copied": lambda x: x,
    "doubled": lambda x: x * 2,
    "sum": lambda x: x + x[::-1],
}


def parts(n: int) -> dict[str, tuple[slice, slice]]:
    """What is written and what is read, as slices of n elements."""
    half = n // 2
    return {
        "a step up": (np.s_[1:], np.s_[:-1]),
        "a step down": (np.s_[:-1], np.s_[1:]),
        "far up": (np.s_[n // 3 :], np.s_[: n - n // 3]),
        "one element shared, written behind": (np.s_[half - 1 : 2 * half - 1], np.s_[:half]),
        "one element shared, written before": (np.s_[:half], np.s_[half - 1 : 2 * half - 1]),
        "touching": (np.s_[half : 2 * half], np.s_[:half]),
        "odd from even": (np.s_[1::2], np.s_[:-1:2]),
        "even from odd": (np.s_[:-1:2], np.s_[1::2]),
        "strides that meet once": (np.s_[: n // 3 * 2 : 2], np.s_[n // 3 - 1 : n // 3 * 2 - 1]),
        "spread": (np.s_[: half * 2 : 2], np.s_[:half]),
        "gathered": (np.s_[:half], np.s_[: half * 2 : 2]),
        "reversed": (np.s_[:], np.s_[::-1]),
        "reversed but for one": (np.s_[:-1], np.s_[:0:-1]),
        "by three and by two": (np.s_[: n // 3 * 3 : 3], np.s_[1 : n // 3 * 2 + 1 : 2]),
    }


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", parts(9))
@pytest.mark.parametrize("increment", [False, True])
def test_parts_of_one_vector(device: str, name: str, function: str, increment: bool) -> None:
    for n, threads in ((LARGE, 2), (31, 1)):
        config.threads = threads
        written, read = parts(n)[name]
        before = np.random.default_rng(n).normal(size=n)
        assert before[written].shape == before[read].shape
        w = theano.shared(before.copy(), "w")
        new = FUNCTIONS[function](w[read])
        change = T.inc_subtensor if increment else T.set_subtensor
        theano.function([], updates=[(w, change(w[written], new))])()
        expected, value = before.copy(), FUNCTIONS[function](before[read])
        expected[written] = before[written] + value if increment else value
        np.testing.assert_array_equal(w.get_value(), expected)


KEYS = (np.s_[1:], np.s_[:-1], np.s_[:, 1:], np.s_[:, :-1], np.s_[1:, 1:], np.s_[:-1, 1:])


@pytest.mark.parametrize("written", KEYS, ids=str)
def test_parts_of_one_matrix(device: str, written: Any) -> None:
    before = np.random.default_rng(1).normal(size=(300, 301))
    for read in KEYS:
        if before[read].shape != before[written].shape:
            continue
        w = theano.shared(before.copy(), "w")
        theano.function([], updates=[(w, T.set_subtensor(w[written], w[read] * 3))])()
        expected = before.copy()
        expected[written] = before[read] * 3
        np.testing.assert_array_equal(w.get_value(), expected)


def test_a_matrix_from_its_transpose(device: str) -> None:
    before = np.random.default_rng(2).normal(size=(400, 400))
    for make in (lambda w: w.T, lambda w: T.set_subtensor(w[:], w.T * 2), lambda w: w.T[::-1]):
        w = theano.shared(before.copy(), "w")
        theano.function([], updates=[(w, make(w))])()
        with making_functions_for("reference"):
            expected = theano.function([], make(theano.shared(before)))()
        np.testing.assert_array_equal(w.get_value(), expected)


def test_parts_of_two_vectors_that_read_each_other(device: str) -> None:
    a, b = (np.random.default_rng(seed).normal(size=LARGE) for seed in (3, 4))
    v, w = theano.shared(a.copy(), "v"), theano.shared(b.copy(), "w")
    updates = [(v, T.set_subtensor(v[1:], w[:-1] * 2)), (w, T.set_subtensor(w[:-1], v[1:] + 1))]
    theano.function([], updates=updates)()
    np.testing.assert_array_equal(v.get_value(), np.concatenate([a[:1], b[:-1] * 2]))
    np.testing.assert_array_equal(w.get_value(), np.concatenate([a[1:] + 1, b[-1:]]))
