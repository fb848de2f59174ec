"""Elementwise ops: a table from the instructions of tapes to ONNX's operators."""

from __future__ import annotations

import math
from collections.abc import Callable

from tinygrad_mnist.graph.types import FLOATS
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.onnx.convert import Converter, rule, unsupported
from tinygrad_mnist.onnx.graph import Graph, Value
from tinygrad_mnist.ops.composed import polynomial
from tinygrad_mnist.ops.elementwise import (
    abs_,
    cast,
    eq,
    exp,
    ge,
    gt,
    log,
    lt,
    number_like,
    pow_,
    sgn,
    sqr,
    switch,
    true_div,
)
from tinygrad_mnist.ops.rounding import floor
from tinygrad_mnist.ops.special import erf
from tinygrad_mnist.ops.trigonometry import arctan

# Operators whose operands and result have the dtype of the tape.
_DIRECT = {
    **{name: name.capitalize() for name in ("neg", "abs", "sign", "exp", "log", "sqrt", "sigmoid")},
    **{name: name.capitalize() for name in ("tanh", "softplus", "sin", "cos", "tan", "sinh")},
    **{name: name.capitalize() for name in ("cosh", "erf", "floor", "ceil", "round")},
    **{name: name.capitalize() for name in ("add", "sub", "mul", "div")},
    **{f"arc{name}": f"A{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "maximum": "Max",
    "minimum": "Min",
    "bit_and": "BitwiseAnd",
    "bit_or": "BitwiseOr",
    "bit_xor": "BitwiseXor",
    "bit_not": "BitwiseNot",
}
# Operators whose result is a bool.
_TESTS = {
    "isnan": "IsNaN",
    "isinf": "IsInf",
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}
_LOGIC = {"logical_and": "And", "logical_or": "Or", "logical_not": "Not"}
# Instructions that have an operator of their own, or none, where an operand is this number.
_PLAINER = {"maximum": ("Relu", 0), "mul": ("", 1)}
_MOST_MULTIPLICATIONS = 64  # of an integer power


# --- composed of other ops ------------------------------------------------------------------------


def _log1p(x: Variable) -> Variable:
    """Kahan's form: the error of 1 + x cancels in log(1 + x) / ((1 + x) - 1)."""
    whole = 1 + x
    near = switch(eq(whole, 1), x, log(whole) * x / (whole - 1))
    return switch(lt(abs_(x), 0.5), near, log(whole))


def _expm1(x: Variable) -> Variable:
    """Kahan's form: the error of exp(x) cancels in (exp(x) - 1) / log(exp(x))."""
    power = exp(x)
    near = switch(eq(power, 1), x, (power - 1) * x / log(power))
    return switch(lt(abs_(x), 0.5), near, power - 1)


# The coefficients of erfc, with a relative error of 1.2e-7.
# Source: W. Press et al., Numerical Recipes in C (1992), section 6.2.
_ERFC = (
    *(-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806),
    *(0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277),
)


def _erfc(x: Variable) -> Variable:
    """1 - erf(x) would have no digits where erf(x) is close to 1."""
    size = abs_(x)
    t = 1 / (1 + size * number_like(0.5, x))
    far = t * exp(polynomial(t, _ERFC) - sqr(size))
    return switch(gt(x, 0.5), far, 1 - erf(x))


def _trunc(x: Variable) -> Variable:
    return sgn(x) * floor(abs_(x))


def _round_away(x: Variable) -> Variable:
    size = abs_(x)
    whole = floor(size)
    return sgn(x) * (whole + cast(ge(size - whole, 0.5), x.dtype))


def _arctan2(y: Variable, x: Variable) -> Variable:
    """For finite numbers; the sign of a zero doesn't count."""
    angle = arctan(true_div(y, x))
    half = number_like(math.pi / 2, x)
    behind = angle + switch(ge(y, 0), 2 * half, -2 * half)
    return switch(gt(x, 0), angle, switch(lt(x, 0), behind, sgn(y) * half))


def _logarithm(base: float) -> Callable[[Variable], Variable]:
    return lambda x: log(x) * number_like(1 / math.log(base), x)


_COMPOSED: dict[str, Callable[..., Variable]] = {
    "log1p": _log1p,
    "expm1": _expm1,
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    "exp2": lambda x: pow_(number_like(2, x), x),
    "erfc": _erfc,
    "trunc": _trunc,
    "round_away": _round_away,
    "arctan2": _arctan2,
}


# --- remainders and powers ------------------------------------------------------------------------


def _remainder(g: Graph, x: Value, y: Value) -> Value:
    """x % y with the sign of y, as Python has it; of integers, 0 for y = 0."""
    if x.dtype not in FLOATS:
        zero = g.number(0, y)
        is_zero = g.call("Equal", y, zero, dtype="bool")
        rest = g.call("Mod", x, g.call("Where", is_zero, g.number(1, y), y, dtype=y.dtype))
        return g.call("Where", is_zero, zero, rest, dtype=x.dtype)
    rest = g.call("Mod", x, y, fmod=1)
    return g.call("Where", _is_off(g, rest, y), g.call("Add", rest, y), rest, dtype=x.dtype)


def _is_off(g: Graph, rest: Value, y: Value) -> Value:
    """Whether a remainder that isn't 0 has another sign than y."""
    zero = g.number(0, y)
    signs = [g.call("Less", v, zero, dtype="bool") for v in (rest, y)]
    nonzero = g.call("Not", g.call("Equal", rest, zero, dtype="bool"))
    return g.call("And", nonzero, g.call("Xor", *signs))


def _floor_division(g: Graph, x: Value, y: Value) -> Value:
    """x // y, as NumPy has it: the quotient of a float is that of x less the remainder."""
    zero = g.number(0, y)
    is_zero = g.call("Equal", y, zero, dtype="bool")
    whole = g.call("Sub", x, _remainder(g, x, y))
    if x.dtype in FLOATS:
        quotient = g.call("Round", g.call("Div", whole, y))
        return g.call("Where", is_zero, g.call("Div", x, y), quotient, dtype=x.dtype)
    divisor = g.call("Where", is_zero, g.number(1, y), y, dtype=y.dtype)
    return g.call("Where", is_zero, zero, g.call("Div", whole, divisor), dtype=x.dtype)


def _power(g: Graph, node: Node, x: Value, y: Value) -> Value:
    """Integers are multiplied, since ONNX says nothing of products that wrap around."""
    if x.dtype in FLOATS:
        return g.call("Pow", x, y)
    if y.array is None or y.array.size != 1 or not 0 <= y.array.item() <= _MOST_MULTIPLICATIONS:
        raise unsupported(
            node, f"a power of integers needs a constant exponent, 0 to {_MOST_MULTIPLICATIONS}"
        )
    exponent = y.array.item()
    if exponent == 0:
        return g.call("Add", g.call("Mul", x, g.number(0, x)), g.number(1, x))
    result = x
    for _ in range(exponent - 1):
        result = g.call("Mul", result, x)
    return result


# --- the rule -------------------------------------------------------------------------------------


def _is_number(v: Value, number: float) -> bool:
    """Whether a value is one number, which stretches with whatever it meets."""
    return v.array is not None and v.array.size == 1 and v.array.item() == number


@rule("elementwise")
def _elementwise(c: Converter, node: Node) -> list[Value]:
    """The inputs in the tape's dtype, the result in the node's."""
    compute, dtype = node.params["compute"], node.outputs[0].dtype
    tape_op = node.op.tape_op
    if tape_op in _COMPOSED:
        operands = [cast(v, compute) for v in node.inputs]
        return [c.graph.cast(c.value(_COMPOSED[tape_op](*operands)), dtype)]
    return [c.graph.cast(_instruction(c, node, compute), dtype)]


def _instruction(c: Converter, node: Node, compute: str) -> Value:
    g, tape_op = c.graph, node.op.tape_op
    given = c.values(node.inputs)
    if tape_op == "identity":
        return given[0]
    if tape_op in _LOGIC:
        return g.call(_LOGIC[tape_op], *(g.cast(v, "bool") for v in given))
    if tape_op == "switch":
        branches = [g.cast(v, compute) for v in given[1:]]
        return g.call("Where", g.cast(given[0], "bool"), *branches, dtype=compute)
    operands = [g.cast(v, compute) for v in given]
    if tape_op in _PLAINER:
        operator, number = _PLAINER[tape_op]
        for constant, v in (operands, operands[::-1]):
            if _is_number(constant, number) and v.dtype in FLOATS:
                return g.call(operator, v) if operator else v
    if tape_op in _DIRECT:
        return g.call(_DIRECT[tape_op], *operands)
    if tape_op in _TESTS:
        return g.call(_TESTS[tape_op], *operands, dtype="bool")
    match tape_op:
        case "neq":
            return g.call("Not", g.call("Equal", *operands, dtype="bool"))
        case "sqr":
            return g.call("Mul", operands[0], operands[0])
        case "mod":
            return _remainder(g, *operands)
        case "int_div":
            return _floor_division(g, *operands)
        case "pow":
            return _power(g, node, *operands)
    raise unsupported(node, "it has no counterpart in ONNX")
