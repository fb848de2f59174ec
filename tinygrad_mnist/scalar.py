"""Theano's `theano.scalar`: dtypes of results, and types of scalars by their dtypes.

A scalar is an array of no dimensions here, so `theano.scalar.float32` is the type of
`T.fscalar()`.
"""

from __future__ import annotations

import numpy as np

from tinygrad_mnist.graph.types import DTYPES, FLOATS, TensorType, tensor_type
from tinygrad_mnist.names import attribute_finder

__getattr__ = attribute_finder("theano.scalar", __name__)


def upcast(dtype: str, *dtypes: str) -> str:
    """The dtype that holds the values of all these: `upcast("int32", "float32")` is `"float64"`."""
    result = np.dtype(dtype)
    for other in dtypes:
        result = np.promote_types(result, other)
    return str(result)


def get_scalar_type(dtype: str) -> TensorType:
    """The type of a scalar; GraphTypeError for a dtype that isn't here."""
    return tensor_type(dtype, ())


Scalar = get_scalar_type

bool, int8, int16, int32, int64, uint8, uint16, uint32, float32, float64 = map(
    get_scalar_type, DTYPES
)
int_types = (int8, int16, int32, int64)
uint_types = (uint8, uint16, uint32)
integer_types = int_types + uint_types
discrete_types = (bool, *integer_types)
float_types = continuous_types = tuple(map(get_scalar_type, FLOATS))
all_types = discrete_types + float_types

int_dtypes, uint_dtypes, integer_dtypes, discrete_dtypes, float_dtypes, all_dtypes = (
    tuple(type.dtype for type in types)
    for types in (int_types, uint_types, integer_types, discrete_types, float_types, all_types)
)
continuous_dtypes = float_dtypes

__all__ = [
    "Scalar",
    "all_dtypes",
    "all_types",
    "bool",
    "continuous_dtypes",
    "continuous_types",
    "discrete_dtypes",
    "discrete_types",
    "float32",
    "float64",
    "float_dtypes",
    "float_types",
    "get_scalar_type",
    "int8",
    "int16",
    "int32",
    "int64",
    "int_dtypes",
    "int_types",
    "integer_dtypes",
    "integer_types",
    "uint8",
    "uint16",
    "uint32",
    "uint_dtypes",
    "uint_types",
    "upcast",
]
