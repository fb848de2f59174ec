"""Functions that never fall, which a max-pool may pass: `tests/helpers/rising.py` tries all
float32, this test a sample around the points where formulas change."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.native import TARGETS
from helpers.rising import falls, floats, keys_of, points, runs

from tinygrad_mnist.backends import BACKENDS


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("name", "dtype"), sorted(BACKENDS["cpu"].rising))
def test_no_larger_argument_gives_less(name: str, dtype: str, target: str) -> None:
    fallen = falls(name, runs(points(dtype, 300)), target)
    assert fallen.size == 0, fallen[:5]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
def test_others_do_fall(name: str, target: str) -> None:
    """The check finds it; and where they were made monotone, they could join the others."""
    assert (name, "float32") not in BACKENDS["cpu"].rising
    assert falls(name, runs(points("float32", 3000)), target).size > 0


def test_floats_in_order() -> None:
    x = np.float32([-np.inf, -2, -1e-45, -0.0, 0.0, 1e-45, 1, np.inf])
    np.testing.assert_array_equal(floats(keys_of(x)), x)
    assert np.all(np.diff(keys_of(x).astype(np.int64)) > 0)
    assert list(keys_of(np.float32([-1e-45, -0.0, 0.0, 1e-45]))) == [-2, -1, 0, 1]
    (run,) = runs(np.float64([1.0]))
    np.testing.assert_array_equal(np.diff(run[16:]), np.spacing(1.0))
