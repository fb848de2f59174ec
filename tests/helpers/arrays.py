"""Random arrays with random memory layouts, from one seed each."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

AnyArray = NDArray[Any]

INDEX_DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
DTYPES = ["bool", *INDEX_DTYPES, "float32", "float64"]

seeds = st.integers(0, 2**32 - 1)


def shapes(max_dims: int = 4, max_side: int = 9) -> st.SearchStrategy[tuple[int, ...]]:
    """Small shapes, sometimes with a long last or first dimension."""
    small = st.lists(st.integers(1, max_side), min_size=0, max_size=max_dims).map(tuple)
    long = st.tuples(st.sampled_from([1, 3, 17]), st.sampled_from([31, 257, 1000]))
    return small | long | long.map(lambda s: s[::-1])


def fill(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> AnyArray:
    """Normal floats, small integers, or coin flips."""
    kind = np.dtype(dtype).kind
    if kind == "f":
        return np.asarray(rng.normal(size=shape), dtype)
    if kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    return np.asarray(rng.integers(0 if kind == "u" else -9, 10, shape), dtype)


def strided(rng: np.random.Generator, array: AnyArray) -> AnyArray:
    """The same elements in another layout: dimensions permuted, reversed, with gaps."""
    order = rng.permutation(array.ndim)
    steps = rng.choice([1, 1, 1, 2, -1], array.ndim)
    sides = [array.shape[d] * abs(int(s)) for d, s in zip(order, steps[order], strict=True)]
    memory = np.zeros(sides, array.dtype).transpose(np.argsort(order))
    key: Any = (*(slice(None, None, int(s)) for s in steps), ...)
    view: AnyArray = memory[key]
    view[...] = array
    return view


def broadcast(rng: np.random.Generator, array: AnyArray) -> AnyArray:
    """An array of the same shape that repeats along some dimensions (stride 0)."""
    index = tuple(slice(0, 1) if rng.random() < 0.4 else slice(None) for _ in array.shape)
    return np.broadcast_to(array[index], array.shape)


def operand(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> AnyArray:
    """A random input: contiguous, strided or broadcast."""
    array = fill(rng, shape, dtype)
    layout = rng.integers(3)
    if layout == 0:
        return array
    return strided(rng, array) if layout == 1 else broadcast(rng, strided(rng, array))


def index_vectors(rng: np.random.Generator, sides: tuple[int, ...], n: int) -> list[AnyArray]:
    """An index vector into each axis, negative ones and duplicates included."""
    vectors = []
    for side in sides:
        dtype = str(rng.choice(INDEX_DTYPES))
        least = 0 if dtype.startswith("u") else -side
        vectors.append(strided(rng, rng.integers(least, side, n).astype(dtype)))
    return vectors
