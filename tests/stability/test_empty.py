"""Sums of no elements: the logarithm of an empty sum is -inf, and nothing else is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.stable import DTYPES

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812


def share(x: Any, axis: Any) -> Any:
    return T.exp(x) / T.exp(x).sum(axis=axis, keepdims=True)


# With what is left where nothing is added up.
FORMS: dict[str, tuple[Callable[[Any, Any], Any], float | None]] = {
    "log(sum(exp))": (lambda x, axis: T.log(T.exp(x).sum(axis=axis)), -np.inf),
    "log2": (lambda x, axis: T.log2(T.exp(x).sum(axis=axis)), -np.inf),
    "weighted": (lambda x, axis: T.log((x * T.exp(x)).sum(axis=axis)), -np.inf),
    "log of a product": (lambda x, axis: T.log(T.exp(x).prod(axis=axis)), 0),
    "of terms": (lambda x, axis: T.log((T.exp(x) + x * T.exp(2 * x)).sum(axis=axis)), -np.inf),
    "inverse": (lambda x, axis: 1 / T.exp(x).sum(axis=axis), np.inf),
    "mean of shares": (lambda x, axis: (x * share(x, axis)).sum(axis=axis), 0),
    "share": (share, None),
    "log(share)": (lambda x, axis: T.log(share(x, axis)), None),
    "1 - share": (lambda x, axis: 1 - share(x, axis), None),
    "log(1 - share)": (lambda x, axis: T.log(1 - share(x, axis)), None),
}
SHAPES = [((0,), 0), ((3, 0), 0), ((3, 0), 1), ((0, 3), 0), ((0, 3), 1), ((0, 0), 0),
          ((3, 0), (0, 1)), ((2, 0, 3), 1), ((2, 0, 3), (0, 2))]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("form", FORMS)
def test_no_elements(form: str, shape: tuple[int, ...], axis: Any, dtype: str) -> None:
    expression, value = FORMS[form]
    x = T.tensor(dtype, (False,) * len(shape), "x")
    e = expression(x, axis)
    result, slope = theano.function([x], [e, T.grad(T.sum(e), x)])(np.zeros(shape, dtype))
    assert slope.shape == shape
    rest = np.zeros(shape).sum(axis=axis).shape
    assert result.shape == (shape if value is None else rest)
    if value is not None:
        np.testing.assert_array_equal(result, np.full(rest, value))


def test_on_other_backends(device: str) -> None:
    x = T.dmatrix("x")
    e = T.log(T.exp(x).sum(axis=1))
    for n in (0, 2):
        result = theano.function([x], e)(np.zeros((3, n)))
        np.testing.assert_allclose(result, np.full(3, np.log(n) if n else -np.inf))
