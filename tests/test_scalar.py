"""Theano's `theano.scalar`, and its `_asarray`."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import scalar
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.types import DTYPES
from tinygrad_mnist.safe_asarray import _asarray


def test_upcast() -> None:
    for a, b in product(DTYPES, DTYPES):
        assert scalar.upcast(a, b) == np.promote_types(a, b).name
    assert scalar.upcast("int8", "int16", "float32") == "float32"
    assert scalar.upcast("float32") == "float32"


@pytest.mark.parametrize("dtype", DTYPES)
def test_types(dtype: str) -> None:
    type = getattr(scalar, dtype)
    assert type == T.tensor(dtype, ()).type == scalar.Scalar(dtype)
    assert type in scalar.all_types
    assert (type in scalar.float_types) == type.is_float
    assert (type in scalar.discrete_types) == type.is_discrete
    assert dtype in scalar.all_dtypes
    assert (dtype in scalar.continuous_dtypes) == type.is_float
    assert (dtype in scalar.discrete_dtypes) == type.is_discrete
    assert (dtype in scalar.integer_dtypes) == (type.is_discrete and dtype != "bool")


def test_asarray() -> None:
    theano.config.floatX = "float32"
    assert _asarray([1, 2], "floatX").dtype == "float32"
    swapped = np.arange(3, dtype=">i4")
    result = _asarray(swapped, "int32")
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, swapped)
    assert _asarray([[1.5]], dtype="int64", order="F")[0, 0] == 1
    with pytest.raises(GraphTypeError, match="no dtype 'float16'"):
        _asarray([1], "float16")
