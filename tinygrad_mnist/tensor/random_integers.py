"""Integers drawn between two bounds, made of uniform floats.

All is computed in int64. A span, the distance of the bounds, may be any number below 2**64: in
int64 one of 2**63 or more looks negative.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_mnist.graph.op import constant
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import add, cast, ge, int_div, lt, mul, sub, switch
from tinygrad_mnist.ops.logical import and_

_NARROW = 2**53  # the spans below this are those that a float64 draw reaches each element of


def integers_from(
    low: Variable, high: Variable, uniform: Callable[[int], Variable], widest: int
) -> Variable:
    """int64 from `low` to `high`, both int64, included. uniform: draw number 0 or 1, float64 in
    [0, 1). widest: the widest span that there can be."""
    span = sub(high, low)
    if widest < _NARROW:
        return add(_narrow(span, uniform(0)), low)
    wide = _wide(span, uniform(0), uniform(1))
    is_narrow = and_(ge(span, 0), lt(span, constant(_NARROW, "int64")))
    return add(switch(is_narrow, _narrow(span, uniform(0)), wide), low)


def widest_span(low: Variable, high: Variable) -> int:
    """The widest span that the bounds can have: of constants, or by their dtypes."""
    return _bounds(high)[1] - _bounds(low)[0]


def _bounds(v: Variable) -> tuple[int, int]:
    """The least and the greatest value that a bound can have; 0 if it has no elements."""
    if isinstance(v, Constant):
        return (int(v.value.min()), int(v.value.max())) if v.value.size else (0, 0)
    is_cast = v.node is not None and v.node.op.name == "cast"
    info = np.iinfo(v.node.inputs[0].dtype if v.node is not None and is_cast else v.dtype)
    return int(info.min), int(info.max)


def _narrow(span: Variable, drawn: Variable) -> Variable:
    """Integers in [0, span], by one draw."""
    return cast(mul(drawn, add(cast(span, "float64"), 1.0)), "int64")


def _wide(span: Variable, first: Variable, second: Variable) -> Variable:
    """Integers in [0, span], by 64 random bits r: the upper 64 bits of the product r * (span + 1),
    which is added up in parts of 32 bits."""
    high, low = (cast(mul(u, 2.0**32), "int64") for u in (first, second))  # of r
    span_high, span_low = _upper(span), _lower(span)
    lowest, highest = mul(low, span_low), mul(high, span_high)
    middle = mul(low, span_high), mul(high, span_low)
    carry = _upper(add(_lower(lowest), low))
    carry = add(add(carry, _upper(lowest)), high)
    for product in middle:
        carry = add(carry, _lower(product))
    for product in middle:
        highest = add(highest, _upper(product))
    return add(highest, _upper(carry))


def _lower(v: Variable) -> Variable:
    """The lower 32 bits."""
    return and_(v, constant(2**32 - 1, "int64"))


def _upper(v: Variable) -> Variable:
    """The upper 32 bits."""
    return _lower(int_div(v, constant(2**32, "int64")))
