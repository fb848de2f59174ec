"""The registry of ops, and variables made of Python and NumPy values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import DTYPES, smallest_integer
from tinygrad_mnist.graph.variables import Constant, Op, Variable

OPS: dict[str, Op] = {}


def register_op(op: Op) -> Op:
    """Adds an op to the registry; a second one of the same name is an error."""
    if op.name in OPS:
        raise ValueError(f"the op {op.name!r} is registered twice")
    OPS[op.name] = op
    return op


def as_variable(value: Any, name: str | None = None) -> Variable:
    """A variable made of a variable, a number, an array or a nested list.

    Python numbers become weak constants, which take the dtype of the other operands. NumPy values
    keep their dtype.
    """
    if isinstance(value, Variable):
        return value
    if type(value) is bool:
        return Constant(np.asarray(value), name=name)
    if type(value) is int:
        try:
            dtype = smallest_integer(value)
        except OverflowError as error:
            raise OverflowError(f"{error}{at(user_source())}") from None
        return Constant(np.asarray(value, dtype=dtype), weak=True, name=name)
    if type(value) is float:
        return Constant(np.asarray(value, dtype="float64"), weak=True, name=name)
    if isinstance(value, np.ndarray | np.generic | list | tuple):
        if isinstance(value, list | tuple) and any(isinstance(v, Variable) for v in value):
            raise GraphTypeError("a list of symbolic variables can't be used as one variable")
        array = np.asarray(value)
        if array.dtype.name not in DTYPES:
            raise GraphTypeError(
                f"an array of dtype {array.dtype} can't be a constant{at(user_source())}"
            )
        return Constant(array, name=name)
    raise GraphTypeError(
        f"{value!r} of type {type(value).__name__} can't be used in an expression"
        f"{at(user_source())}"
    )


def constant(value: Any, dtype: str | None = None) -> Constant:
    """A constant of a given dtype (by default the value's own)."""
    return Constant(np.asarray(value, dtype=dtype))
