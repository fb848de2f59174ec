"""gather: picking by index vectors."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import fill, index_vectors, operand, seeds, strided
from helpers.native import TARGETS, expect, poisoned, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.contracts import ArraySpec

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "float32", "float64"]
bodies = st.lists(st.integers(1, 8), min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100)
@given(dtype=st.sampled_from(DTYPES), shape=bodies, n=st.integers(0, 20), seed=seeds)
def test_gather(target: str, dtype: str, shape: tuple[int, ...], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, len(shape) + 1))
    inputs = [operand(rng, shape, dtype), *index_vectors(rng, shape, k, n)]
    spec = ArraySpec(dtype, (n, *shape[k:]))
    view = strided(rng, poisoned(spec))
    (result,) = run_kernel("gather", inputs, [view], {"n_index": k}, target)
    (exact,) = expect("gather", inputs, [spec], {"n_index": k})
    np.testing.assert_array_equal(result, exact.astype(dtype))


def test_many_rows_in_chunks() -> None:
    rng = np.random.default_rng(0)
    x = fill(rng, (500, 28, 28), "float32")
    index = rng.integers(-500, 500, 900)
    for threads in (1, 2, 4):
        (result,) = run_kernel(
            "gather",
            [x, index],
            [ArraySpec("float32", (900, 28, 28))],
            {"n_index": 1},
            threads=threads,
        )
        np.testing.assert_array_equal(result, x[index])


def test_wrong_calls_are_refused() -> None:
    x = np.zeros((3, 4), np.float32)
    index = np.zeros(5, np.int64)
    with pytest.raises(ValueError, match="gather: n_index must be"):
        run_kernel("gather", [x, index], [ArraySpec("float32", (5, 4))], {"n_index": 2})
    with pytest.raises(ValueError, match="gather: an index vector must have an integer dtype"):
        run_kernel(
            "gather", [x, index.astype(float)], [ArraySpec("float32", (5, 4))], {"n_index": 1}
        )
    with pytest.raises(ValueError, match="gather: the moved rows must agree"):
        run_kernel("gather", [x, index], [ArraySpec("float32", (5, 3))], {"n_index": 1})
