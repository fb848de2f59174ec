"""The elementwise words under all the names that they have in Theano."""

from __future__ import annotations

from tinygrad_mnist.ops.elementwise import (
    abs_,
    add,
    cast,
    clip,
    divmod_,
    eq,
    exp,
    ge,
    gt,
    int_div,
    le,
    log1p,
    lt,
    maximum,
    minimum,
    mod,
    mul,
    neg,
    neq,
    pow_,
    sgn,
    sqr,
    sqrt,
    sub,
    switch,
    tanh,
    true_div,
)
from tinygrad_mnist.ops.log import log
from tinygrad_mnist.ops.logical import allclose, and_, invert, isclose, isinf, isnan, or_, xor
from tinygrad_mnist.ops.rounding import ceil, floor, iround, round_, trunc

abs = abs_
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = and_, or_, xor, invert
divmod = divmod_
floor_div = int_div
pow = pow_
round = round_
square = sqr
where = switch

__all__ = [
    "abs",
    "abs_",
    "add",
    "allclose",
    "and_",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "cast",
    "ceil",
    "clip",
    "divmod",
    "eq",
    "exp",
    "floor",
    "floor_div",
    "ge",
    "gt",
    "int_div",
    "invert",
    "iround",
    "isclose",
    "isinf",
    "isnan",
    "le",
    "log",
    "log1p",
    "lt",
    "maximum",
    "minimum",
    "mod",
    "mul",
    "neg",
    "neq",
    "or_",
    "pow",
    "round",
    "sgn",
    "sqr",
    "sqrt",
    "square",
    "sub",
    "switch",
    "tanh",
    "true_div",
    "trunc",
    "where",
    "xor",
]
