"""Logic on bools, bitwise ops on integers, and tests of floats (`isnan`, `isclose`, ...)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import BOOL, FLOATS, upcast
from tinygrad_mnist.graph.values import flag
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import (
    ApiFunction,
    abs_,
    add,
    define,
    eq,
    le,
    lt,
    mul,
    neq,
    sub,
    truth,
)
from tinygrad_mnist.ops.reduce import all_
from tinygrad_mnist.ops.shape import broadcast_like


def _bits(dtypes: Sequence[str]) -> tuple[str, str]:
    if any(dtype in FLOATS for dtype in dtypes):
        raise GraphTypeError(f"of bools and integers, not of {' and '.join(dtypes)}")
    return upcast(*dtypes), "int64"


_LOGICAL_AND: ApiFunction = define("logical_and", 2, truth, None)
_LOGICAL_OR: ApiFunction = define("logical_or", 2, truth, None)
_LOGICAL_NOT: ApiFunction = define("logical_not", 1, truth, None)
_BITWISE_AND: ApiFunction = define("bitwise_and", 2, _bits, None, "bit_and")
_BITWISE_OR: ApiFunction = define("bitwise_or", 2, _bits, None, "bit_or")
_BITWISE_XOR: ApiFunction = define("bitwise_xor", 2, _bits, None, "bit_xor")
_BITWISE_NOT: ApiFunction = define("bitwise_not", 1, _bits, None, "bit_not")


def _apply(of_bools: ApiFunction, of_bits: ApiFunction, *args: Any) -> Variable:
    """Applies the op for bools, which fuses with comparisons, or the one for bits of integers."""
    variables = [as_variable(a) for a in args]
    return (of_bools if all(v.dtype == BOOL for v in variables) else of_bits)(*variables)


def _combined(of_bools: ApiFunction, of_bits: ApiFunction, *args: Any) -> Variable:
    """The op applied to one operand or more, from left to right."""
    variables = [as_variable(a) for a in args]
    if len(variables) == 1:
        _bits([variables[0].dtype])
    return reduce(lambda x, y: _apply(of_bools, of_bits, x, y), variables)


@api_function
def and_(x: Any, *others: Any) -> Variable:
    """x & y & ...: of bools whether all are true, of integers their common bits."""
    return _combined(_LOGICAL_AND, _BITWISE_AND, x, *others)


@api_function
def or_(x: Any, *others: Any) -> Variable:
    """x | y | ...: of bools whether one is true, of integers the bits of any."""
    return _combined(_LOGICAL_OR, _BITWISE_OR, x, *others)


@api_function
def xor(x: Any, *others: Any) -> Variable:
    """x ^ y ^ ...: of two bools whether they differ, of integers the bits that differ."""
    return _combined(neq, _BITWISE_XOR, x, *others)


@api_function
def invert(x: Any) -> Variable:
    """~x: the negation of a bool, all bits of an integer inverted."""
    return _apply(_LOGICAL_NOT, _BITWISE_NOT, x)


_ISNAN: ApiFunction = define("isnan", 1, truth, None)
_ISINF: ApiFunction = define("isinf", 1, truth, None)


def _test(op: ApiFunction, x: Any) -> Variable:
    variable = as_variable(x)
    if variable.type.is_discrete:  # neither NaN nor infinite
        return broadcast_like(as_variable(False), variable)
    return op(variable)


@api_function
def isnan(a: Any) -> Variable:
    """Whether `a` is NaN."""
    return _test(_ISNAN, a)


@api_function
def isinf(a: Any) -> Variable:
    """Whether `a` is infinite, of either sign."""
    return _test(_ISINF, a)


def isclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Variable:
    """Whether |a - b| <= atol + rtol |b|. An infinity is close only to itself; NaN is close to NaN
    if `equal_nan` is true, else to nothing."""
    a, b = as_variable(a), as_variable(b)
    size = abs_(b)
    near = le(abs_(sub(a, b)), add(atol, mul(rtol, size)))
    close = or_(and_(near, lt(size, np.inf)), eq(a, b))
    return or_(close, and_(isnan(a), isnan(b))) if flag(equal_nan, "equal_nan") else close


def allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Variable:
    """Whether `isclose` holds for all elements."""
    return all_(isclose(a, b, rtol, atol, equal_nan))
