"""The registry of ops, and variables made of Python and NumPy values."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ArgumentError, GraphTypeError, IntegerOverflowError
from tinygrad_mnist.graph.api import lookup
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import check_dtype, smallest_integer
from tinygrad_mnist.graph.values import check_name, plain_array, shown
from tinygrad_mnist.graph.variables import Constant, Op, Variable

F = TypeVar("F", bound=Callable[..., Any])

OPS: dict[str, Op] = {}
HOMES: dict[str, str] = {}  # the module whose import registers each op, for pickles that have it


def register_op(op: Op) -> Op:
    """Adds an op to the registry; a second one of the same name is an error."""
    if op.name in OPS:
        raise ValueError(f"the op {op.name!r} is registered twice")
    OPS[op.name] = op
    HOMES[op.name] = _importing_module()
    return op


def _importing_module() -> str:
    """The module that is being imported, or the one of the calling function."""
    frame = caller = sys._getframe(2)
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    is_import = frame.f_code.co_name == "<module>"
    return str((frame if is_import else caller).f_globals.get("__name__", "__main__"))


def named(function: F, op: str) -> F:
    """The function that applies an op, with the name that it has in the module of the op: pickles
    refer to a function by its name. One that Python has too, such as `abs`, ends in an underscore
    there."""
    function.__name__ = op
    function.__qualname__ = f"{op}_" if hasattr(builtins, op) else op
    function.__module__ = HOMES[op]
    return function


def as_variable(value: Any, name: str | None = None) -> Variable:
    """A variable made of a variable, a number, an array or a nested list.

    Python numbers become weak constants, which take the dtype of the other operands. NumPy values
    keep their dtype. A list that holds variables is stacked.
    """
    if isinstance(value, Variable):
        return value
    check_name(name)
    if type(value) is bool:
        return Constant(np.asarray(value), name=name)
    if type(value) is int:
        try:
            dtype = smallest_integer(value)
        except IntegerOverflowError as error:
            raise IntegerOverflowError(f"{error}{at(user_source())}") from None
        return Constant(np.asarray(value, dtype=dtype), weak=True, name=name)
    if type(value) is float:
        return Constant(np.asarray(value, dtype="float64"), weak=True, name=name)
    if isinstance(value, list | tuple) and has_variables(value):
        return lookup("stack")(value)
    if isinstance(value, np.ndarray | np.generic | list | tuple):
        return Constant(_checked(plain_array(value, "a value in an expression")), name=name)
    why = ": complex numbers are not supported" if isinstance(value, complex) else ""
    raise GraphTypeError(
        f"{shown(value)} of type {type(value).__name__} can't be used in an expression{why}"
        f"{at(user_source())}"
    )


def has_variables(value: Any) -> bool:
    """Whether a value is a variable, or a list or tuple that holds one at some level."""
    if isinstance(value, list | tuple):
        return any(has_variables(item) for item in value)
    return isinstance(value, Variable)


def _checked(array: Array) -> Array:
    """An array of a dtype that the engine has; GraphTypeError with the user's line otherwise."""
    try:
        check_dtype(array.dtype)
    except TypeError as error:
        raise GraphTypeError(
            f"an array of dtype {array.dtype} can't be a constant: {error}{at(user_source())}"
        ) from None
    return array


def constant(value: Any, dtype: str | None = None) -> Constant:
    """A constant of a given dtype (by default the value's own)."""
    if isinstance(value, Variable):
        raise GraphTypeError(f"{shown(value)} can't be a constant; use .eval()")
    array = plain_array(value, "a constant")
    try:
        with np.errstate(over="ignore"):  # a number beyond the range of a float is infinite in it
            array = np.asarray(value, dtype=check_dtype(array.dtype if dtype is None else dtype))
    except OverflowError:
        raise ArgumentError(f"{shown(value)} doesn't fit in {dtype}") from None
    return Constant(array)
