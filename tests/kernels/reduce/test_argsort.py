"""argsort: the order of a stable np.argsort, in any layout."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import DTYPES, operand, seeds, shapes, strided
from helpers.native import TARGETS, AnyArray, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec


def order(x: AnyArray, axis: int) -> AnyArray:
    return np.argsort(x, axis=axis, kind="stable")


def sorted_by(
    x: AnyArray, axis: int, target: str | None = None, threads: int | None = None
) -> AnyArray:
    spec = ArraySpec("int64", x.shape)
    (result,) = run_kernel("argsort", [x], [spec], {"axis": axis}, target, threads)
    return result


@pytest.mark.covers("argsort", dtypes=DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150)
@given(dtype=st.sampled_from(DTYPES), shape=shapes(), in_c_order=st.booleans(), seed=seeds)
def test_values(
    target: str, dtype: str, shape: tuple[int, ...], in_c_order: bool, seed: int
) -> None:
    """Many elements are equal, among integers and in arrays that repeat."""
    rng = np.random.default_rng(seed)
    x = operand(rng, (3, *shape), dtype)
    axis = int(rng.integers(x.ndim))
    out = poisoned(ArraySpec("int64", x.shape))
    out = out if in_c_order else strided(rng, out)
    (result,) = run_kernel("argsort", [x], [out], {"axis": axis}, target)
    np.testing.assert_array_equal(result, order(x, axis))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
def test_every_length(dtype: str, target: str) -> None:
    """Runs and merges, whole and with a rest; sorted, reversed, equal and random rows."""
    rng = np.random.default_rng(1)
    for n in [*range(1, 70), 127, 128, 129, 1000]:
        up = np.linspace(-100, 100, n)
        x = np.stack([up, up[::-1], np.zeros(n), rng.permutation(up)]).astype(dtype)
        np.testing.assert_array_equal(sorted_by(x, 1, target), order(x, 1))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_numbers(dtype: str, target: str) -> None:
    """NaN of either sign comes last, infinities at the ends; the two zeros are equal."""
    rng = np.random.default_rng(2)
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 5e-324], dtype)
    for n in (9, 40, 300):
        x = rng.choice(values, (5, n))
        np.testing.assert_array_equal(sorted_by(x, 1, target), order(x, 1))


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool"]
)
def test_the_extremes_of_integers(dtype: str) -> None:
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x = np.array([high, low, 0, 1, high, low, 1, 0] * 5, dtype)
    np.testing.assert_array_equal(sorted_by(x, 0), order(x, 0))


def test_any_number_of_threads() -> None:
    x = np.random.default_rng(0).integers(0, 50, (30, 40, 50))
    for threads in (1, 2, 4):
        for axis in range(3):
            np.testing.assert_array_equal(sorted_by(x, axis, threads=threads), order(x, axis))


def test_a_long_row() -> None:
    x = np.random.default_rng(0).normal(size=100_000)
    np.testing.assert_array_equal(sorted_by(x, 0), order(x, 0))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_nothing(shape: tuple[int, ...]) -> None:
    for axis in range(len(shape)):
        assert sorted_by(np.zeros(shape), axis).shape == shape


@pytest.mark.parametrize(
    ("out", "axis", "message"),
    [
        (ArraySpec("int64", (3, 4)), 2, "argsort: axis must be one of input 0's"),
        (ArraySpec("int32", (3, 4)), 0, "argsort: output 0 must be int64"),
        (ArraySpec("int64", (3, 5)), 0, "argsort: output 0 must have size 4 on axis 1"),
    ],
)
def test_wrong_calls_are_refused(out: ArraySpec, axis: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_kernel("argsort", [np.zeros((3, 4))], [out], {"axis": axis})
