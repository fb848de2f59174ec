"""Operations on many elements at once have the bits that each element alone would have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_mnist.tf.stack import EXACT, PerElement, Stack, by_row, elementwise

DTYPES = (
    *("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64"),
    *("uint32", "uint64", "bool"),
)
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 300.0, -1.0, 3e9, 1e19, 65535.0)
SHAPES = [(), (1,), (37,), (5, 7)]
N = 65


def values(dtype: str, shape: tuple[int, ...], seed: int) -> Any:
    """Of all magnitudes that the dtype has."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        made = rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
        return made * (rng.random(shape) < 0.8).astype(kind)
    with np.errstate(over="ignore"):
        made = (rng.normal(size=shape) * 10.0 ** rng.integers(-6, 7, shape)).astype(kind)
        return np.where(rng.random(shape) < 0.8, made, rng.choice(SPECIAL, shape).astype(kind))


def same(found: Any, expected: Any) -> bool:
    x, y = found.rows, expected.rows
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    if x.dtype.kind != "f":
        return np.array_equal(x, y)
    real = ~np.isnan(x)
    signs = np.array_equal(np.signbit(x[real]), np.signbit(y[real]))
    return np.array_equal(x, y, equal_nan=True) and signs


@pytest.mark.parametrize("ufunc", sorted(EXACT, key=lambda u: u.__name__), ids=lambda u: u.__name__)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ufuncs(ufunc: Any) -> None:
    for shape in SHAPES:
        for dtype in DTYPES:
            operands = [Stack(values(dtype, (N, *shape), seed)) for seed in range(ufunc.nin)]
            try:
                expected = by_row(ufunc, *operands)
            except TypeError:
                with pytest.raises(TypeError):
                    elementwise(ufunc, *operands)
            else:
                assert same(elementwise(ufunc, *operands), expected), (shape, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_casts(dtype: str) -> None:
    """Also of floats that the integers don't have."""
    for shape in SHAPES:
        for source in DTYPES:
            x = Stack(values(source, (N, *shape), 0))
            expected = by_row(lambda e: e.astype(dtype), x)
            assert same(x.astype(dtype), expected), (shape, source)


def test_what_a_stack_is_to_a_function() -> None:
    x = Stack(np.arange(24.0).reshape(4, 2, 3))
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((2, 3), 2, 6, 2, np.float64)
    assert repr(x) == "<an element of shape (2, 3) and dtype float64>"
    assert x.T.shape == (3, 2)
    assert [row.shape for row in x] == [(3,), (3,)]
    with pytest.raises(TypeError, match="without dimensions"):
        len(x[0, 0])
    with pytest.raises(AttributeError):
        x.absent  # noqa: B018
    assert np.exp(x).shape == (2, 3)
    for asked in (bool, float, hash, np.asarray, list.__iter__, lambda e: isinstance(e, int)):
        with pytest.raises((PerElement, TypeError)):
            asked(x)
