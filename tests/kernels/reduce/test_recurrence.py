"""recurrence: y[k] = x[k] + a[k] * y[k - 1], bit for bit, in any layout."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import operand, seeds, shapes, strided
from helpers.native import TARGETS, AnyArray, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec

DTYPES = ["int64", "float32", "float64"]


def recurrent(x: AnyArray, a: AnyArray, axis: int, reverse: bool) -> AnyArray:
    """Row by row, element by element."""
    y = np.empty_like(x)
    rows = (np.moveaxis(v, axis, -1)[..., :: -1 if reverse else 1] for v in (x, a, y))
    from_x, from_a, to = rows
    with np.errstate(all="ignore"):
        for k in range(to.shape[-1]):
            to[..., k] = from_x[..., k]
            if k:
                to[..., k] += from_a[..., k] * to[..., k - 1]
    return y


@pytest.mark.covers("recurrence", dtypes=DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100)
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
    x, a = (operand(rng, (3, *shape), dtype) for _ in range(2))
    axis = int(rng.integers(x.ndim))
    out = poisoned(ArraySpec(dtype, x.shape))
    out = out if in_c_order else strided(rng, out)
    params = {"axis": axis, "reverse": reverse}
    (result,) = run_kernel("recurrence", [x, a], [out], params, target)
    np.testing.assert_array_equal(result, recurrent(x, a, axis, reverse))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_products(dtype: str, target: str) -> None:
    """With -0.0 behind the first element y is np.cumprod, with the signs of its zeros; integers
    wrap. The first element of a has no part."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(5, 40)) * 3
    if dtype != "int64":
        a[1, 7], a[2, 3], a[3, 4], a[4, 0] = 0, np.nan, np.inf, -0.0
    a = a.astype(dtype)
    x = np.full_like(a, -0.0)
    x[:, 0] = a[:, 0]
    unused = a.copy()
    unused[:, 0] = 77
    for factors in (a, unused):
        spec, params = ArraySpec(dtype, a.shape), {"axis": 1, "reverse": False}
        (result,) = run_kernel("recurrence", [x, factors], [spec], params, target)
        with np.errstate(all="ignore"):
            expected = np.cumprod(a, axis=1)
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


def test_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x, a = rng.normal(size=(2, 100, 40, 50)).astype("float32")
    for threads in (1, 2, 4):
        for axis in range(3):
            params = {"axis": axis, "reverse": False}
            spec = ArraySpec("float32", x.shape)
            (result,) = run_kernel("recurrence", [x, a], [spec], params, threads=threads)
            np.testing.assert_array_equal(result, recurrent(x, a, axis, False))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_nothing(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape)
    for axis in range(x.ndim):
        params = {"axis": axis, "reverse": True}
        (result,) = run_kernel("recurrence", [x, x], [ArraySpec("float64", shape)], params)
        assert result.shape == shape


@pytest.mark.parametrize(
    ("dtypes", "shape", "axis", "message"),
    [
        (("float32",) * 3, (3, 4), 2, "axis must be one of input 0's"),
        (("int32",) * 3, (3, 4), 0, r"input 0 \(x\) must be float32, float64 or int64"),
        (("int64", "float64", "int64"), (3, 4), 0, r"input 1 \(a\) must have input 0's dtype"),
        (("int64",) * 3, (3, 5), 0, r"input 1 \(a\) must have size 4 on axis 1"),
        (("int64", "int64", "float32"), (3, 4), 0, "output 0 must have input 0's dtype"),
    ],
)
def test_wrong_calls_are_refused(
    dtypes: tuple[str, ...], shape: tuple[int, ...], axis: int, message: str
) -> None:
    x, a = np.zeros((3, 4), dtypes[0]), np.zeros(shape, dtypes[1])
    params = {"axis": axis, "reverse": False}
    with pytest.raises(ValueError, match=f"recurrence: {message}"):
        run_kernel("recurrence", [x, a], [ArraySpec(dtypes[2], (3, 4))], params)
