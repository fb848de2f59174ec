"""check_range on a GPU: what it lets pass and what it stops."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.gpu import BACKEND
from helpers.gpu_cases.case import AnyArray

from tinygrad_mnist.checking.one_call import OneCall


def check(index: AnyArray, low: int, high: int) -> None:
    OneCall("check_range", [index], [], {"low": low, "high": high}).run(BACKEND)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_one_wrong_element_is_found(dtype: str) -> None:
    index = np.full((3, 8), 3).astype(dtype)
    for view in (index, index.T, index[::-1, ::2]):
        check(view, -4, 4)
        for place in ((0, 0), (1, 2), (-1, -1)):
            for wrong in (4, 100) if dtype == "uint8" else (4, -5, -128):
                view[place] = wrong
                with pytest.raises(IndexError):
                    check(view, -4, 4)
                view[place] = 3


@pytest.mark.sim
@pytest.mark.gpu
def test_the_ends_are_fine() -> None:
    check(np.array([-4, 3, 0]), -4, 4)
    check(np.array(2), 0, 3)
    check(np.zeros((3, 0), np.int32), 0, 0)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("wrong", [2**40, -(2**63), 2**32 + 1])
def test_wide_integers_are_not_cut(wrong: int) -> None:
    with pytest.raises(IndexError):
        check(np.array([0, wrong]), 0, 2)


@pytest.mark.gpu
def test_every_place_of_a_long_index() -> None:
    """Longer than the threads of a grid."""
    index = np.zeros(700_000, np.int64)
    check(index, 0, 1)
    for place in (0, 65_535, 262_143, 262_144, 524_288, 699_999):
        index[place] = 1
        with pytest.raises(IndexError):
            check(index, 0, 1)
        index[place] = 0
