"""Copies: a tape without instructions between arrays of one dtype, in any layout."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import DTYPES, fill, operand, seeds, shapes, strided
from helpers.native import TARGETS, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.types import compute_dtype


def identity(dtype: str) -> dict[str, Tape]:
    return {"tape": Tape.identity(compute_dtype(dtype))}


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=200)
@given(dtype=st.sampled_from(DTYPES), shape=shapes(max_side=40, max_dims=3), seed=seeds)
def test_copy(target: str, dtype: str, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = operand(rng, shape, dtype)
    view = strided(rng, poisoned(ArraySpec(dtype, shape)))
    (result,) = run_kernel("elementwise", [x], [view], identity(dtype), target)
    np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
def test_transposes_in_chunks(dtype: str) -> None:
    x = fill(np.random.default_rng(0), (70, 5, 400), dtype)
    for view in (x.T, x.transpose(2, 0, 1), x[::-1].transpose(0, 2, 1), x[:, :, ::-3].T):
        spec = ArraySpec(dtype, view.shape)
        for threads in (1, 2, 4):
            (result,) = run_kernel("elementwise", [view], [spec], identity(dtype), threads=threads)
            np.testing.assert_array_equal(result, view)


def test_every_bit_of_a_float_is_copied() -> None:
    """NaNs with their payloads, denormals, the sign of zero."""
    bits = np.array([0x7FC00123, 0xFFC00001, 0x7F800001, 0x00000001, 0x80000000], np.uint32)
    x = bits.view(np.float32)
    (result,) = run_kernel("elementwise", [x], [ArraySpec("float32", (5,))], identity("float32"))
    np.testing.assert_array_equal(result.view(np.uint32), bits)


def test_a_copy_onto_itself_changes_nothing() -> None:
    x = np.arange(12.0).reshape(3, 4)
    (result,) = run_kernel("elementwise", [x], [x], identity("float64"))
    np.testing.assert_array_equal(result, np.arange(12.0).reshape(3, 4))
