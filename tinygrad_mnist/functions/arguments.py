"""Arguments of a call become arrays: checked against the declared types, without guessing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_mnist.compile.host import is_host_scalar
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import BroadcastError, GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.types import BOOL, INTEGERS
from tinygrad_mnist.graph.values import plain_array
from tinygrad_mnist.graph.variables import Variable

_RANGES = {dtype: (np.iinfo(dtype).min, np.iinfo(dtype).max) for dtype in INTEGERS}


@dataclass(frozen=True, eq=False)
class Parameter:
    """One input of a function, as its callers see it.

    variable: the input in expressions. name: its keyword, or None. label: its name in messages.
    strict, allow_downcast: which values it takes, see `convert`. default: its value if the caller
    gives none; None if the caller must. state: the shared variable with its value, for an input
    that keeps one; is_private: the function made that variable. implicit: callers can't give a
    value.
    """

    variable: Variable
    name: str | None
    label: str
    strict: bool = False
    allow_downcast: bool | None = None
    default: Array | None = None
    state: SharedVariable | None = None
    is_private: bool = False
    implicit: bool = False

    @cached_property
    def is_host_scalar(self) -> bool:
        """Whether slices and shapes may depend on its value."""
        return is_host_scalar(self.variable)


def convert(value: Any, parameter: Parameter, stacked: bool = False) -> Array:
    """`value` as a C-contiguous array of the parameter's type, with a leading axis if `stacked`.

    It is a copy where elements begin between two of their addresses, as in a view of any byte.
    Conversion to a dtype that holds every value of the given one is always allowed. For other
    dtypes it depends on `allow_downcast`: True allows all; None allows integers that fit, and
    Python's floats, rounded; False allows only Python's numbers and lists whose values are
    unchanged. A strict parameter takes only arrays of its own dtype.

    Raises GraphTypeError or ShapeError, which names the parameter, the value's type, the type that
    is wanted, and the user's line that declared it.
    """
    variable, label = parameter.variable, parameter.label
    if isinstance(value, Variable):
        raise GraphTypeError(f"{label} got a symbolic variable; functions take values")
    array = _as_array(value, parameter)
    ndim = variable.ndim + stacked
    if array.ndim != ndim:
        raise GraphTypeError(
            f"{label} has {ndim} dimensions ({'steps of ' * stacked}{variable.type}); the value "
            f"has {array.ndim}, shape {array.shape}{at(variable.source)}"
        )
    if parameter.strict:
        _check_strict(array, value, parameter)
    if array.dtype != variable.dtype:
        array = _converted(array, value, parameter)
    for axis, fixed in enumerate(variable.broadcastable, start=int(stacked)):
        if fixed and array.shape[axis] != 1:
            raise BroadcastError(
                f"{label} broadcasts along axis {axis - stacked}; the value's shape is "
                f"{array.shape}{at(variable.source)}"
            )
    whole = np.ascontiguousarray(array).reshape(array.shape)
    return whole if whole.flags.aligned else whole.copy()


def _as_array(value: Any, parameter: Parameter) -> Array:
    try:
        return plain_array(value, f"the value of {parameter.label}")
    except GraphTypeError as error:
        raise GraphTypeError(f"{error}{at(parameter.variable.source)}") from None


def _check_strict(array: Array, value: Any, parameter: Parameter) -> None:
    variable = parameter.variable
    if not isinstance(value, np.ndarray | np.generic) or array.dtype != variable.dtype:
        kind = str(array.dtype) if isinstance(value, np.ndarray) else type(value).__name__
        raise GraphTypeError(
            f"{parameter.label} is strict: it takes only {variable.dtype} arrays, not "
            f"{kind}{at(variable.source)}"
        )


def _converted(array: Array, value: Any, parameter: Parameter) -> Array:
    """`array`, of another dtype, in the parameter's dtype."""
    variable, downcast = parameter.variable, parameter.allow_downcast
    dtype, given = variable.dtype, array.dtype
    if given.kind == "c":
        raise GraphTypeError(
            f"{parameter.label} is {dtype}; the value is {given}: complex numbers are not supported"
            f"{at(variable.source)}"
        )
    if given.kind not in "biuf":
        raise GraphTypeError(
            f"{parameter.label} is {dtype}; the value is {given}{at(variable.source)}"
        )
    if downcast or array.size == 0 or np.can_cast(given, dtype, "safe"):
        return array.astype(dtype)
    if given.kind == "f" and variable.type.is_float:
        rounded = array.astype(dtype)
        from_python = not isinstance(value, np.ndarray | np.generic)
        if from_python and (downcast is None or np.array_equal(rounded, array, equal_nan=True)):
            return rounded
    elif given.kind != "f" and dtype != BOOL:
        converted = array.astype(dtype)
        if not np.array_equal(converted, array):
            raise GraphTypeError(
                f"{parameter.label} is {dtype}, which can't hold the values of the given {given} "
                f"array{at(variable.source)}"
            )
        if downcast is None or not isinstance(value, np.ndarray):
            return converted
    raise GraphTypeError(
        f"{parameter.label} is {dtype}; the value is {given}, which would lose precision: convert "
        f"it with .astype({dtype!r}) or pass allow_input_downcast=True{at(variable.source)}"
    )


def host_integer(value: Any, parameter: Parameter) -> int | None:
    """`value` as a Python int if the parameter is an integer scalar and the value is an integer
    that fits; None otherwise. Raises GraphTypeError for one that doesn't fit and must not wrap."""
    variable = parameter.variable
    if variable.ndim or variable.dtype not in INTEGERS or parameter.strict:
        return None
    if type(value) is not int:
        if not isinstance(value, np.integer):
            return None
        value = int(value)
    low, high = _RANGES[variable.dtype]
    if not low <= value <= high:
        if parameter.allow_downcast:
            return None
        raise GraphTypeError(f"{parameter.label} is {variable.dtype}; {value} doesn't fit in it")
    return int(value)


def is_stacked(value: Any, parameter: Parameter) -> bool:
    """Whether an argument of a sweep has a value per step: one axis more than the parameter."""
    if not isinstance(value, np.ndarray | range | list | tuple):
        return False
    return _as_array(value, parameter).ndim == parameter.variable.ndim + 1


def read_arguments(
    values: Sequence[Any], parameters: Sequence[Parameter], updated: Collection[SharedVariable]
) -> tuple[list[Array], dict[Variable, int]]:
    """Arrays for the arguments of a call, and the values of the host scalars among them.

    updated: the shared variables that the call changes; no array shares memory with them.
    """
    arrays: list[Array] = []
    integers: dict[Variable, int] = {}
    for value, p in zip(values, parameters, strict=True):
        integer = host_integer(value, p)
        if integer is not None:
            integers[p.variable] = integer
            arrays.append(np.asarray(integer, dtype=p.variable.dtype))
        else:
            arrays.append(argument_array(value, p, updated))
            if p.is_host_scalar:
                integers[p.variable] = int(arrays[-1])
    return arrays, integers


def argument_array(
    value: Any, p: Parameter, updated: Collection[SharedVariable], stacked: bool = False
) -> Array:
    """An argument as an array that shares no memory with the variables in `updated`."""
    if p.default is not None and value is p.default:
        return p.default
    array = convert(value, p, stacked)
    if any(np.may_share_memory(array, s.host_array) for s in updated):
        return array.copy()  # borrowed from a variable that this call overwrites
    return array
