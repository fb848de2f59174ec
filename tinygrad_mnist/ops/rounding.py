"""Rounding to integers. Floats keep their dtype; integers and bool are unchanged. No gradient
passes: these are step functions.
"""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.values import choice
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import (
    ApiFunction,
    cast,
    common,
    define,
    int_div,
    mod,
    neq,
)

_FLOOR: ApiFunction = define("floor", 1, common, None)
_CEIL: ApiFunction = define("ceil", 1, common, None)
_TRUNC: ApiFunction = define("trunc", 1, common, None)
_MODES: dict[str, ApiFunction] = {
    "half_to_even": define("round_half_to_even", 1, common, None, "round"),
    "half_away_from_zero": define("round_half_away_from_zero", 1, common, None, "round_away"),
}


def _rounded(op: ApiFunction, x: Any) -> Variable:
    variable = as_variable(x)
    return variable if variable.type.is_discrete else op(variable)


@api_function
def floor(x: Any) -> Variable:
    """The largest integer not above x."""
    return _rounded(_FLOOR, x)


@api_function
def ceil(x: Any) -> Variable:
    """The smallest integer not below x."""
    return _rounded(_CEIL, x)


@api_function
def trunc(x: Any) -> Variable:
    """x without its fraction."""
    return _rounded(_TRUNC, x)


@api_function
def round_(a: Any, mode: str | None = None) -> Variable:
    """The integer nearest to `a`. Halves go to the even integer (the mode 'half_to_even', or None),
    or with the mode 'half_away_from_zero' away from zero."""
    mode = "half_to_even" if mode is None else mode
    return _rounded(_MODES[choice(mode, _MODES, "the mode of round")], a)


def round_half_to_even(x: Any) -> Variable:
    """`round` with the mode 'half_to_even'."""
    return round_(x, "half_to_even")


def round_half_away_from_zero(x: Any) -> Variable:
    """`round` with the mode 'half_away_from_zero'."""
    return round_(x, "half_away_from_zero")


def iround(a: Any, mode: str | None = None) -> Variable:
    """`round` as int64."""
    return cast(round_(a, mode), "int64")


def ceil_intdiv(a: Any, b: Any) -> Variable:
    """a / b, rounded up: the least integer not below it, in the common dtype of both."""
    quotient = int_div(a, b)
    return quotient + cast(neq(mod(a, b), 0), quotient.dtype)
