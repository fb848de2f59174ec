"""Values that users give as arguments: numbers, flags, names and arrays, checked.

Each function returns the value in one form, or raises an error that begins with the argument's name
and shows the value. Python's and NumPy's own errors would name neither.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import ArgumentError, AxisError, GraphTypeError
from tinygrad_mnist.graph.operators import Operators

MOST_DIMENSIONS = 64  # that NumPy's arrays have
_LONGEST = 60  # characters of a value in a message


def shown(value: Any) -> str:
    """A value as a message shows it, on one line."""
    if isinstance(value, Operators):
        return f"the symbolic `{value}`"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def plain(value: Any) -> Any:
    """A value without what wraps it: of a constant or an array without axes, its number; of a
    constant with axes, its array."""
    if isinstance(value, Operators) and value.known_value is not None:
        value = value.known_value
    if isinstance(value, np.ndarray) and value.ndim == 0 and not is_masked(value):
        return value[()]
    return value


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy, and no bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def integer(value: Any, what: str, least: int | None = None) -> int:
    """An integer, not below `least`. Raises GraphTypeError, ArgumentError."""
    value = plain(value)
    if not is_integer(value):
        raise GraphTypeError(f"{what} is {shown(value)}; it must be an integer")
    if least is not None and value < least:
        raise ArgumentError(f"{what} is {value}; it must be at least {least}")
    return int(value)


def several(value: Any, what: str, of: str = "integers") -> Sequence[Any]:
    """A list, a tuple, a range or the rows of an array. Raises GraphTypeError."""
    is_array = isinstance(value, np.ndarray) and value.ndim > 0
    if not isinstance(value, list | tuple | range) and not is_array:
        raise GraphTypeError(f"{what} is {shown(value)}; it must be a list or tuple of {of}")
    refuse_masked(value, what)
    return value if isinstance(value, list | tuple) else list(value)


def axis_number(value: Any, ndim: int) -> int:
    """The number of an axis, counted from 0. Raises GraphTypeError, AxisError."""
    value = plain(value)
    if not is_integer(value):
        raise GraphTypeError(f"axis {shown(value)} is not an integer")
    if not -ndim <= value < ndim:
        raise AxisError(f"axis {value} is out of range for {ndim} dimensions")
    return int(value) % ndim


def axis_numbers(value: Any, ndim: int) -> tuple[int, ...]:
    """The numbers of different axes, given as one or as a list. Raises GraphTypeError, AxisError,
    ArgumentError."""
    value = plain(value)
    is_list = isinstance(value, list | tuple | range | np.ndarray)
    given = several(value, "axis") if is_list else [value]
    axes = tuple(axis_number(a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"an axis is named twice in {shown(value)}")
    return axes


def flag(value: Any, what: str) -> bool:
    """True or False, also as 1 or 0. Raises GraphTypeError."""
    if not isinstance(value, bool | np.bool_ | int | np.integer) or value not in (0, 1):
        raise GraphTypeError(f"{what} is {shown(value)}; it must be True or False")
    return bool(value)


def number(value: Any, what: str) -> float:
    """A real number. Raises GraphTypeError."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise GraphTypeError(f"{what} is {shown(value)}; it must be a number")
    return float(value)


def choice(value: Any, allowed: Collection[str], what: str) -> str:
    """One of several names. Raises GraphTypeError, ArgumentError."""
    if not isinstance(value, str):
        kind: type[GraphTypeError] = GraphTypeError
    elif value in allowed:
        return value
    else:
        kind = ArgumentError
    *most, last = map(repr, allowed)
    names = f"{', '.join(most)} or {last}" if most else last
    raise kind(f"{what} is {shown(value)}; it can be {names}")


def check_name(value: Any, what: str = "the name of a variable") -> None:
    """Raises GraphTypeError for a name that is neither text nor None."""
    if not (value is None or isinstance(value, str)):
        raise GraphTypeError(f"{what} is text, not {shown(value)}")


# --- arrays -------------------------------------------------------------------------------------


def is_masked(value: Any) -> bool:
    """Whether a value is a masked array of `numpy.ma`, which most programs never load."""
    return isinstance(value, np.ndarray) and hasattr(value, "mask")


def refuse_masked(value: Any, what: str) -> None:
    """Raises GraphTypeError for a masked array, also in a list: its mask would be lost."""
    if is_masked(value):
        raise GraphTypeError(
            f"{what} is a masked array, whose mask would be lost; use .filled(value)"
        )
    if isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, list | tuple | np.ndarray):
                refuse_masked(item, what)


def plain_array(value: Any, what: str) -> NDArray[Any]:
    """The array that a value is, in its own dtype.

    Raises GraphTypeError for masked arrays, for lists of lists of several lengths, for variables
    in lists, and for values that NumPy only holds as objects.
    """
    refuse_masked(value, what)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError):  # lists of several lengths, for example
        raise _no_array(value, what) from None
    if array.dtype.kind not in "biufc":
        raise _no_array(value, what)
    return array


def _no_array(value: Any, what: str) -> GraphTypeError:
    """The error for a value that is no array of numbers; its message says why."""
    given = f"{what} is {shown(value)}"
    if isinstance(value, int):
        return GraphTypeError(f"{given}, which no dtype holds")
    if isinstance(value, list | tuple):
        if any(isinstance(item, Operators) for item in value):
            return GraphTypeError(f"{given}: T.stack makes one variable of several")
        return GraphTypeError(
            f"{given}; its lists must hold numbers, and those of one level be equally long"
        )
    kind = type(value).__name__
    return GraphTypeError(f"{given} ({kind}); it must be a number or an array of numbers")
