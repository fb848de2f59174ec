"""argmax and argmin: the place of the greatest and of the least element."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import operand, seeds, shapes, strided
from helpers.native import TARGETS, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "float32", "float64"]


def check(x: np.ndarray, axis: int, target: str | None, threads: int | None = None) -> None:  # type: ignore[type-arg]
    spec = ArraySpec("int64", tuple(1 if d == axis else side for d, side in enumerate(x.shape)))
    for name in ("argmax", "argmin"):
        (result,) = run_kernel(name, [x], [spec], {"axis": axis}, target, threads)
        (exact,) = expect(name, [x], [spec], {"axis": axis})
        np.testing.assert_array_equal(result, exact)


@pytest.mark.covers("argmax", "argmin", dtypes=DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150)
@given(dtype=st.sampled_from(DTYPES), shape=shapes(), seed=seeds)
def test_place(target: str, dtype: str, shape: tuple[int, ...], seed: int) -> None:
    """Ties are frequent: integers are small, floats are rounded."""
    rng = np.random.default_rng(seed)
    x = operand(rng, (3, *shape), dtype)
    if rng.random() < 0.5:
        x = np.round(x).astype(dtype)
    axis = int(rng.integers(x.ndim))
    check(x, axis, target)
    spec = ArraySpec("int64", tuple(1 if d == axis else side for d, side in enumerate(x.shape)))
    view = strided(rng, poisoned(spec))
    for name in ("argmax", "argmin"):
        (result,) = run_kernel(name, [x], [view], {"axis": axis}, target)
        np.testing.assert_array_equal(result, expect(name, [x], [spec], {"axis": axis})[0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinities(dtype: str, target: str) -> None:
    rng = np.random.default_rng(0)
    for side in (1, 2, 7, 16, 40, 100):
        for special in ([np.nan], [np.inf], [np.nan, np.nan], [np.inf, np.nan], [-np.inf, np.nan]):
            x = rng.normal(size=(9, side)).astype(dtype)
            for row in x:
                row[rng.integers(0, side, len(special))] = special
            check(x, 1, target)
            check(x, 0, target)
        for infinity in (-np.inf, np.inf):
            check(np.full((2, side), infinity, dtype), 1, target)


def test_threads() -> None:
    x = np.random.default_rng(0).integers(0, 50, (3000, 100)).astype(np.float32)
    for threads in (1, 2, 4):
        check(x, 1, None, threads)
        check(x, 0, None, threads)


def test_wrong_calls_are_refused() -> None:
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(ValueError, match="argmax: axis"):
        run_kernel("argmax", [x], [ArraySpec("int64", (3, 1))], {"axis": 2})
    with pytest.raises(ValueError, match="argmax: output 0 must be int64"):
        run_kernel("argmax", [x], [ArraySpec("float32", (3, 1))], {"axis": 1})
    with pytest.raises(ValueError, match="argmax: input 0 is empty"):
        run_kernel("argmax", [x[:, :0]], [ArraySpec("int64", (3, 1))], {"axis": 1})
