"""Errors against bounds: what passes, and what doesn't."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_mnist.checking.measure import error_of


@pytest.mark.parametrize("error", [0, 2.0**-30])
@pytest.mark.parametrize("value", [0.0, 1.0, np.inf, np.nan])
def test_a_bound_that_is_nan_passes_where_the_element_is_not_finite(
    value: float, error: float
) -> None:
    result, exact = np.array([1, value], np.float32), np.array([1, value + error])
    found = error_of(result, exact, largest=np.array([1, np.nan]))
    assert found.passes != np.isfinite(value)
    assert error_of(result, exact, largest=np.array([1, 1])).used <= 1


def test_an_error_beyond_its_bound_fails() -> None:
    result, exact = np.array([1, 2], np.float32), np.array([1, 2 + 1e-7])
    assert error_of(result, exact, largest=np.array([0, 2e-7])).passes
    assert not error_of(result, exact, largest=np.array([1, 1e-8])).passes
    assert not error_of(result, exact, largest=np.zeros(2)).passes
