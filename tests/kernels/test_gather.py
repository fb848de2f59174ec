"""gather and scatter_add: picking by index vectors, and the adjoint."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import fill, operand, seeds, strided
from helpers.native import TARGETS, AnyArray, assert_near, expect, poisoned, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.contracts import ArraySpec

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8"]
bodies = st.lists(st.integers(1, 8), min_size=1, max_size=4).map(tuple)


def random_indices(
    rng: np.random.Generator, shape: tuple[int, ...], k: int, n: int
) -> list[AnyArray]:
    """k index vectors into the first axes, negative ones and duplicates included."""
    vectors = []
    for side in shape[:k]:
        dtype = str(rng.choice(INTEGERS))
        least = 0 if dtype == "uint8" else -side
        vectors.append(strided(rng, rng.integers(least, side, n).astype(dtype)))
    return vectors


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100)
@given(dtype=st.sampled_from(DTYPES), shape=bodies, n=st.integers(0, 20), seed=seeds)
def test_gather(target: str, dtype: str, shape: tuple[int, ...], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, len(shape) + 1))
    inputs = [operand(rng, shape, dtype), *random_indices(rng, shape, k, n)]
    spec = ArraySpec(dtype, (n, *shape[k:]))
    view = strided(rng, poisoned(spec))
    (result,) = run_kernel("gather", inputs, [view], {"n_index": k}, target)
    (exact,) = expect("gather", inputs, [spec], {"n_index": k})
    np.testing.assert_array_equal(result, exact.astype(dtype))


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100)
@given(
    dtype=st.sampled_from(["int32", "int64", "float32", "float64"]),
    shape=bodies,
    n=st.integers(0, 20),
    seed=seeds,
)
def test_scatter_add(target: str, dtype: str, shape: tuple[int, ...], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, len(shape) + 1))
    g = operand(rng, (n, *shape[k:]), dtype)
    inputs = [g, *random_indices(rng, shape, k, n)]
    spec = ArraySpec(dtype, shape)
    view = strided(rng, poisoned(spec)) if rng.random() < 0.5 else poisoned(spec)
    (result,) = run_kernel("scatter_add", inputs, [view], {"n_index": k}, target)
    (exact,) = expect("scatter_add", inputs, [spec], {"n_index": k})
    assert_near(result, exact, 1e-4 if dtype == "float32" else 1e-12)


def test_duplicates_are_added_in_order() -> None:
    """Bit for bit what a loop over n gives, with any number of threads."""
    rng = np.random.default_rng(0)
    g = fill(rng, (3000, 200), "float32")
    index = rng.integers(0, 7, 3000)
    total = np.zeros((7, 200), np.float32)
    np.add.at(total, index, g)
    for threads in (1, 2, 4):
        (result,) = run_kernel(
            "scatter_add",
            [g, index],
            [ArraySpec("float32", (7, 200))],
            {"n_index": 1},
            threads=threads,
        )
        np.testing.assert_array_equal(result, total)


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
    with pytest.raises(ValueError, match="gather: input 0 and output 0 must agree"):
        run_kernel("gather", [x, index], [ArraySpec("float32", (5, 3))], {"n_index": 1})
    with pytest.raises(ValueError, match="scatter_add: an index vector must have an element"):
        run_kernel("scatter_add", [x, index], [ArraySpec("float32", (9, 4))], {"n_index": 1})
