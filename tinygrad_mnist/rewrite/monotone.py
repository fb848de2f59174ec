"""Chains of elementwise steps that are monotone: their maximum over a window comes of one end.

A step may add, multiply or divide by what is the same over a whole window, take the larger or
smaller of it, or apply a function that never falls. Each result is rounded, and rounding is
monotone, so the maximum of the results is, bit for bit, the result of the largest argument, or of
the smallest. Which of the two may depend on the signs of factors that are known only when a
function runs, such as the scale of a batch normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import NamedTuple

from tinygrad_mnist.graph.match import both_orders, constant_value, made_by
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import eq, mul, neg, sgn, switch, true_div
from tinygrad_mnist.rewrite.engine import Functions

MAX_STEPS = 64  # of one chain; also bounds how deep `Chain.trend` goes

# Functions that all backends compute exactly, or round once; they never fall.
_EXACT = {"floor", "ceil", "trunc", "round", "round_away", "sign", "identity"}
# What bounds the values of functions: below, and above.
_BOUNDS = {
    "tanh": (True, True),
    "arctan": (True, True),
    "sign": (True, True),
    "exp": (True, False),
    "expm1": (True, False),
}


class Factor(NamedTuple):
    """A step whose direction is the sign of `scale`, or of 1 / scale for a divisor.

    sign: the direction of the steps before it, back to the factor before. at_zero: which argument
    is wanted if the sign is 0. Then all numbers of a window give the same result, but an infinity
    gives NaN: 1 finds one that is the largest, -1 one that is the smallest, and 0 those that come
    of an infinite pixel or weight, of either sign.
    """

    sign: int
    scale: Variable
    divides: bool
    at_zero: int

    def direction(self, fresh: Mapping[Variable, Variable], later: Variable | int) -> Variable:
        """The direction of this step and all before and after it. later: of those after it, which
        don't matter if the scale is 0."""
        scale = fresh[self.scale]
        scale = true_div(1, scale) if self.divides else scale
        direction = _times(sgn(scale), later)
        if self.at_zero:
            direction = switch(eq(scale, 0), self.at_zero, direction)
        return _times(direction, self.sign)


class Trend(NamedTuple):
    """How a value depends on the base.

    sign: 1 where the steps since the last of `factors` rise, -1 where they fall. low, high: whether
    something bounds the value below, or above. one_sided: it may be bounded on a side that depends
    on the sign of a factor.
    """

    sign: int = 1
    factors: tuple[Factor, ...] = ()
    low: bool = False
    high: bool = False
    one_sided: bool = False

    def negated(self) -> Trend:
        """That of the negative value."""
        return self._replace(sign=-self.sign, low=self.high, high=self.low)

    def bounded(self, low: bool, high: bool) -> Trend:
        """That of a rising function of the value with such bounds."""
        return self._replace(low=self.low or low, high=self.high or high)

    def scaled(self, scale: Variable, divides: bool) -> Trend | None:
        """That of the product with a scale of unknown sign, or of the quotient; None where it isn't
        known which end of a window may be infinite."""
        if self.one_sided and not (self.low or self.high):
            return None
        at_zero = 1 if self.low else -1 if self.high else 0
        factors = (*self.factors, Factor(self.sign, scale, divides, at_zero))
        both = self.low and self.high
        return Trend(1, factors, both, both, self.low != self.high)

    def direction(self, fresh: Mapping[Variable, Variable]) -> Variable | int:
        """1 where the value rises with the base, -1 where it falls, or what `Factor` says if a
        scale is 0: a number, or (1, O, 1, 1) with a number for each filter.

        fresh: what the scales of the factors are in a graph that is being rebuilt.
        """
        direction: Variable | int = self.sign
        for factor in reversed(self.factors):
            direction = factor.direction(fresh, direction)
        return direction


def _times(direction: Variable, other: Variable | int) -> Variable:
    if isinstance(other, int):
        return direction if other > 0 else neg(direction)
    return mul(direction, other)


class Chain:
    """What is computed of one variable, the base, element by element.

    is_base: whether a variable may be the base. functions: approximated functions, with their
    dtypes, that never fall as the backend computes them.
    """

    def __init__(
        self, result: Variable, is_base: Callable[[Variable], bool], functions: Functions
    ) -> None:
        self._type, self._is_base, self._functions = result.type, is_base, functions
        self._trends: dict[Variable, Trend | None] = {}
        self.base: Variable | None = None
        self.trend = self._trend(result)

    def _trend(self, v: Variable) -> Trend | None:
        """How `v` depends on the base; None where it isn't known, or doesn't."""
        if v not in self._trends:
            if len(self._trends) >= MAX_STEPS:
                return None
            self._trends[v] = self._found(v)
        return self._trends[v]

    def _found(self, v: Variable) -> Trend | None:
        if v.dtype != self._type.dtype or v.type.shape != self._type.shape:
            return None
        if self._is_base(v):
            self.base = self.base or v
            return Trend() if v is self.base else None
        node = v.node
        if node is None or node.op.tape_op is None or node.params["compute"] != v.dtype:
            return None
        if len(node.inputs) == 1:
            return self._of_function(node)
        if node.op.name == "switch":
            return self._of_choice(node)
        z = under_leaky_relu(v)
        return self._of_arithmetic(node) if z is None else self._trend(z)

    def _of_function(self, node: Node) -> Trend | None:
        name, (x,) = node.op.tape_op, node.inputs
        assert name is not None
        trend = self._trend(x)
        if trend is None:
            return None
        if name == "neg":
            return trend.negated()
        if name in _EXACT or (name, x.dtype) in self._functions:
            return trend.bounded(*_BOUNDS.get(name, (False, False)))
        return None

    def _of_arithmetic(self, node: Node) -> Trend | None:
        name = node.op.tape_op
        if name in ("sub", "div"):
            x, y = node.inputs
            if self._is_constant(y) and (trend := self._trend(x)) is not None:
                return trend if name == "sub" else self._scaled(trend, y, divides=True)
            falls = name == "sub" and self._is_constant(x) and (trend := self._trend(y))
            return trend.negated() if falls and trend else None
        if name not in ("add", "mul", "maximum", "minimum"):
            return None
        low, high = name == "maximum", name == "minimum"
        for x, y in both_orders(node.inputs):
            if self._is_constant(y) and (trend := self._trend(x)) is not None:
                if name == "mul":
                    return self._scaled(trend, y)
                return trend.bounded(low, high)
        return None if name == "mul" else self._of_two(node)

    def _of_two(self, node: Node) -> Trend | None:
        """That of the sum, or of the larger or smaller, of two values that rise and fall
        together."""
        first, second = (self._trend(v) for v in node.inputs)
        if first is None or second is None or first[:2] != second[:2]:
            return None
        low, high = first.low and second.low, first.high and second.high
        if node.op.tape_op == "maximum":
            low = first.low or second.low
        elif node.op.tape_op == "minimum":
            high = first.high or second.high
        return Trend(*first[:2], low, high, first.one_sided or second.one_sided)

    def _scaled(self, trend: Trend, scale: Variable, divides: bool = False) -> Trend | None:
        number = constant_value(scale)
        if number is not None and number != 0 and isfinite(number):
            return trend if number > 0 else trend.negated()
        if scale.dtype != self._type.dtype or scale.type.static_shape[0] != 1:
            return None  # the direction is that of a filter
        return trend.scaled(scale, divides)

    def _is_constant(self, v: Variable) -> bool:
        """Whether `v` is the same over a window."""
        return v.ndim == 4 and v.type.static_shape[2:] == (1, 1) != self._type.static_shape[2:]

    def _of_choice(self, choice: Node) -> Trend | None:
        """That of z where z > 0, and elsewhere of a * z or a * expm1(minimum(z, 0)), for a positive
        number a or 1; or of 0 where z < 0, and elsewhere of z, which may be NaN."""
        condition, z, below = choice.inputs
        is_below = made_by(condition, "lt", "le") is not None
        if is_below:
            z, below = below, z
        if not any(compares_with_0(condition, op, z) for op in ("gt", "ge", "lt", "le")):
            return None
        product = made_by(below, "mul")
        for x, a in both_orders(product.inputs) if product else ():
            if 0 < (constant_value(a) or 0) < inf:
                below = x
        if below is z:
            return self._trend(z)
        is_rising = self._is_expm1(below, z) or (is_below and constant_value(below) == 0)
        trend = self._trend(z) if is_rising else None
        return None if trend is None else trend.bounded(True, False)

    def _is_expm1(self, v: Variable, z: Variable) -> bool:
        """Whether `v` is expm1(minimum(z, 0)), and never falls."""
        power = made_by(v, "expm1")
        least = made_by(power.inputs[0], "minimum") if power else None
        return (
            least is not None
            and any(x is z and constant_value(y) == 0 for x, y in both_orders(least.inputs))
            and ("expm1", v.dtype) in self._functions
        )


def under_leaky_relu(y: Variable) -> Variable | None:
    """z, if y is z * switch(z > 0, 1, switch(z < 0, slope, slope at 0)) with a positive slope."""
    product = made_by(y, "mul")
    for z, factor in both_orders(product.inputs) if product else ():
        outer = made_by(factor, "switch")
        inner = made_by(outer.inputs[2], "switch") if outer else None
        if outer is None or inner is None:
            continue
        slope, at_0 = (constant_value(v) for v in inner.inputs[1:])
        if (
            compares_with_0(outer.inputs[0], "gt", z)
            and compares_with_0(inner.inputs[0], "lt", z)
            and constant_value(outer.inputs[1]) == 1
            and slope is not None
            and at_0 is not None
            and 0 < slope < inf
            and isfinite(at_0)
        ):
            return z
    return None


def compares_with_0(v: Variable, op: str, z: Variable) -> bool:
    """Whether `v` is the comparison `op` of z with 0."""
    node = made_by(v, op)
    return node is not None and node.inputs[0] is z and constant_value(node.inputs[1]) == 0
