"""scatter_add and scatter_set: rows into the places that index vectors name, in place."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import DTYPES, fill, index_vectors, operand, seeds, strided
from helpers.native import TARGETS, AnyArray, assert_near, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.contracts import ArraySpec

KERNELS = ["scatter_add", "scatter_set"]
bodies = st.lists(st.integers(1, 8), min_size=1, max_size=4).map(tuple)


def scatter(
    name: str,
    x: AnyArray,
    operands: list[AnyArray],
    axis: int = 0,
    target: str | None = None,
    threads: int = 1,
) -> AnyArray:
    """The kernel run on `x` itself, which it changes."""
    params = {"n_index": len(operands) - 1, "axis": axis}
    (result,) = run_kernel(name, [x, *operands], [x], params, target, threads)
    return result


@pytest.mark.covers(*KERNELS, dtypes=DTYPES)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=80)
@given(dtype=st.sampled_from(DTYPES), shape=bodies, n=st.integers(0, 20), seed=seeds)
def test_scatter(
    name: str, target: str, dtype: str, shape: tuple[int, ...], n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    axis = int(rng.integers(len(shape)))
    k = int(rng.integers(1, len(shape) - axis + 1))
    x = fill(rng, shape, dtype)
    rows = operand(rng, (*shape[:axis], n, *shape[axis + k :]), dtype)
    operands = [rows, *index_vectors(rng, shape[axis : axis + k], n)]
    params = {"n_index": k, "axis": axis}
    (exact,) = expect(name, [x, *operands], [ArraySpec(dtype, shape)], params)
    view = strided(rng, x) if rng.random() < 0.5 else x
    tolerance = 1e-4 if dtype == "float32" and name == "scatter_add" else 1e-12
    if name == "scatter_set":
        exact = exact.astype(dtype)
    assert_near(scatter(name, view, operands, axis, target), exact, tolerance)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", KERNELS)
def test_rows_are_taken_in_order(name: str, axis: int) -> None:
    """Bit for bit what a loop over the rows gives, with any number of threads."""
    rng = np.random.default_rng(0)
    x, rows = fill(rng, (7, 200), "float32"), fill(rng, (3000, 200), "float32")
    index = rng.integers(0, 7, 3000)
    expected = x.copy()
    if name == "scatter_add":
        np.add.at(expected, index, rows)
    else:
        for i, row in zip(index, rows, strict=True):
            expected[i] = row
    if axis == 1:
        x, rows, expected = (np.ascontiguousarray(v.T) for v in (x, rows, expected))
    for threads in (1, 2, 4):
        result = scatter(name, x.copy(), [rows, index], axis, threads=threads)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", KERNELS)
def test_nothing_else_is_touched(name: str) -> None:
    x = np.full((1000, 3), np.nan)
    result = scatter(name, x, [np.ones((2, 3)), np.array([5, -1])])
    kept = np.delete(result, [5, 999], axis=0)
    assert np.isnan(kept).all()
    np.testing.assert_array_equal(result[[5, -1]], np.nan if name == "scatter_add" else 1)


def test_wrong_calls_are_refused() -> None:
    x = np.zeros((9, 4), np.float32)
    rows, index = np.zeros((3, 4), np.float32), np.zeros(5, np.int64)
    with pytest.raises(ValueError, match="scatter_add: an index vector must have an element"):
        scatter("scatter_add", x, [rows, index])
    with pytest.raises(ValueError, match="scatter_set: what is moved must have one dtype"):
        scatter("scatter_set", x, [rows.astype(float), index[:3]])
    with pytest.raises(ValueError, match="scatter_set: output 0 must be the same view"):
        run_kernel("scatter_set", [x, rows, index[:3]], [x.T], {"n_index": 1, "axis": 0})
    with pytest.raises(ValueError, match="scatter_add: n_index must be"):
        run_kernel("scatter_add", [x, rows, index[:3]], [x], {"n_index": 2, "axis": 0})
