"""gather: picking by index vectors."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import DTYPES, fill, index_vectors, operand, seeds, strided
from helpers.native import TARGETS, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec

bodies = st.lists(st.integers(1, 8), min_size=1, max_size=4).map(tuple)


@pytest.mark.covers("gather", dtypes=DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100)
@given(dtype=st.sampled_from(DTYPES), shape=bodies, n=st.integers(0, 20), seed=seeds)
def test_gather(target: str, dtype: str, shape: tuple[int, ...], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = int(rng.integers(len(shape)))
    k = int(rng.integers(1, len(shape) - axis + 1))
    params = {"n_index": k, "axis": axis}
    vectors = index_vectors(rng, shape[axis : axis + k], n)
    inputs = [operand(rng, shape, dtype), *vectors]
    spec = ArraySpec(dtype, (*shape[:axis], n, *shape[axis + k :]))
    view = strided(rng, poisoned(spec))
    (result,) = run_kernel("gather", inputs, [view], params, target)
    (exact,) = expect("gather", inputs, [spec], params)
    np.testing.assert_array_equal(result, exact.astype(dtype))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_many_rows_in_chunks(axis: int) -> None:
    rng = np.random.default_rng(0)
    x = fill(rng, (500, 28, 28), "float32")
    index = rng.integers(-28, 28, 900 if axis == 0 else 40)
    expected = x.take(index, axis, mode="wrap")
    for threads in (1, 2, 4):
        (result,) = run_kernel(
            "gather",
            [x, index],
            [ArraySpec("float32", expected.shape)],
            {"n_index": 1, "axis": axis},
            threads=threads,
        )
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("n_index", "axis", "dtype", "shape", "message"),
    [
        (2, 0, "int64", (5, 4), "n_index must be"),
        (1, 0, "float64", (5, 4), "an index vector must have an integer dtype"),
        (1, 2, "int64", (5, 4), "the moved rows must have the indexed shape"),
        (1, 0, "int64", (5, 3), "the moved rows must agree"),
        (1, 1, "int64", (3, 4), "an index vector must have an element per moved row"),
    ],
)
def test_wrong_calls_are_refused(
    n_index: int, axis: int, dtype: str, shape: tuple[int, ...], message: str
) -> None:
    inputs = [np.zeros((3, 4), np.float32), np.zeros(5, dtype)]
    with pytest.raises(ValueError, match=f"gather: {message}"):
        run_kernel(
            "gather", inputs, [ArraySpec("float32", shape)], {"n_index": n_index, "axis": axis}
        )
