"""check_range: what stops a program before it writes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.arrays import INDEX_DTYPES, operand, seeds, shapes
from helpers.native import TARGETS, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.contracts import CONTRACTS


@pytest.mark.covers("check_range", dtypes=INDEX_DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150)
@given(
    dtype=st.sampled_from(INDEX_DTYPES),
    shape=shapes(),
    low=st.integers(-11, 0),
    high=st.integers(1, 11),
    seed=seeds,
)
def test_check_range(
    target: str, dtype: str, shape: tuple[int, ...], low: int, high: int, seed: int
) -> None:
    index = operand(np.random.default_rng(seed), shape, dtype)
    params = {"low": low, "high": high}
    values = index.astype(np.int64)
    if ((values >= low) & (values < high)).all():
        assert run_kernel("check_range", [index], [], params, target) == []
        assert CONTRACTS["check_range"].reference(params, [index], []) == []
    else:
        with pytest.raises(IndexError):
            run_kernel("check_range", [index], [], params, target)
        with pytest.raises(IndexError):
            CONTRACTS["check_range"].reference(params, [index], [])


def test_every_place_is_looked_at() -> None:
    """In a vector long enough for several chunks, contiguous or not."""
    index = np.zeros(200_000, np.int64)
    for view in (index, index.reshape(400, 500).T, index[::-1]):
        flat = [0, 1, 65_535, 65_536, 131_071, 131_072, 199_998, 199_999]
        for place in flat:
            for wrong in (10, -11, 2**40):
                index[place] = wrong
                with pytest.raises(IndexError):
                    run_kernel("check_range", [view], [], {"low": -10, "high": 10})
                index[place] = 0
        run_kernel("check_range", [view], [], {"low": -10, "high": 10})


def test_nothing_is_in_range() -> None:
    run_kernel("check_range", [np.zeros((3, 0), np.int32)], [], {"low": 0, "high": 0})


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match=r"check_range: input 0 \(index\) must have an integer"):
        run_kernel("check_range", [np.zeros(3, np.float32)], [], {"low": 0, "high": 1})
