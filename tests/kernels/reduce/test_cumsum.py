"""cumsum: the sums of np.cumsum, bit for bit, in any layout."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import operand, seeds, shapes, strided
from helpers.native import TARGETS, AnyArray, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import CONTRACTS, ArraySpec

DTYPES = ["int64", "float32", "float64"]


def spec_of(x: AnyArray) -> ArraySpec:
    return ArraySpec(x.dtype.name, x.shape)


def sequential(x: AnyArray, axis: int, reverse: bool) -> AnyArray:
    """The sums in the dtype of x; the contract's reference adds in order."""
    params = {"axis": axis, "reverse": reverse}
    with np.errstate(all="ignore"):
        (result,) = CONTRACTS["cumsum"].reference(params, [x], [spec_of(x)])
    return result


def same_bits(result: AnyArray, expected: AnyArray) -> None:
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


@pytest.mark.covers("cumsum", dtypes=DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=200)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=shapes(),
    reverse=st.booleans(),
    in_c_order=st.booleans(),
    seed=seeds,
)
def test_values(
    target: str, dtype: str, shape: tuple[int, ...], reverse: bool, in_c_order: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = operand(rng, (3, *shape), dtype)
    axis = int(rng.integers(x.ndim))
    out = poisoned(spec_of(x))
    out = out if in_c_order else strided(rng, out)
    params = {"axis": axis, "reverse": reverse}
    (result,) = run_kernel("cumsum", [x], [out], params, target)
    same_bits(result, sequential(x, axis, reverse))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
def test_every_number_of_adjacent_rows(dtype: str, reverse: bool, target: str) -> None:
    """Whole vectors, and the rows that are left."""
    rng = np.random.default_rng(1)
    for n in range(1, 141):
        x = operand(rng, (2, 5, n), dtype)
        for axis in range(3):
            params = {"axis": axis, "reverse": reverse}
            (result,) = run_kernel("cumsum", [x], [spec_of(x)], params, target)
            same_bits(result, sequential(x, axis, reverse))


@pytest.mark.parametrize("target", TARGETS)
def test_special_numbers(target: str) -> None:
    """Negative zeros stay; NaN and infinities reach what comes after them; integers wrap."""
    x = np.array([[-0.0, -0.0, 1, np.inf, 2, -np.inf, 3], [-0.0, 0.0, np.nan, 1, 2, 3, 4]])
    wide = np.full((3, 20), 2**62)
    for array in (x, x.astype("float32"), np.tile(x, (5, 30)), wide):
        for axis in (0, 1):
            for reverse in (False, True):
                params = {"axis": axis, "reverse": reverse}
                (result,) = run_kernel("cumsum", [array], [spec_of(array)], params, target)
                same_bits(result, sequential(array, axis, reverse))


def test_any_number_of_threads() -> None:
    x = np.random.default_rng(0).normal(size=(300, 40, 50)).astype("float32")
    for threads in (1, 2, 4):
        for axis in range(3):
            params = {"axis": axis, "reverse": False}
            (result,) = run_kernel("cumsum", [x], [spec_of(x)], params, threads=threads)
            same_bits(result, sequential(x, axis, False))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_nothing(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape)
    for axis in range(x.ndim):
        (result,) = run_kernel("cumsum", [x], [spec_of(x)], {"axis": axis, "reverse": False})
        assert result.shape == shape


@pytest.mark.parametrize(
    ("dtype", "out", "axis", "message"),
    [
        ("float32", ArraySpec("float32", (3, 4)), 2, "cumsum: axis must be one of input 0's"),
        ("int32", ArraySpec("int32", (3, 4)), 0, r"cumsum: input 0 \(x\) must be float32, float64"),
        ("int64", ArraySpec("float64", (3, 4)), 0, "cumsum: output 0 must have input 0's dtype"),
        ("int64", ArraySpec("int64", (3, 5)), 0, "cumsum: output 0 must have size 4 on axis 1"),
    ],
)
def test_wrong_calls_are_refused(dtype: str, out: ArraySpec, axis: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_kernel("cumsum", [np.zeros((3, 4), dtype)], [out], {"axis": axis, "reverse": False})
