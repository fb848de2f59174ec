"""Trigonometric and hyperbolic functions and their inverses. Integers give a float; angles are in
radians.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import (
    ApiFunction,
    as_float,
    define,
    number_like,
    sqr,
    sqrt,
    upgraded,
)


def _one_minus_square(x: Variable) -> Variable:
    """1 - x * x, accurate also near 1."""
    return (1 - x) * (1 + x)


sin: ApiFunction = define("sin", 1, upgraded, lambda g, z, i: (g * cos(i[0]),), doc="sine")
cos: ApiFunction = define("cos", 1, upgraded, lambda g, z, i: (-g * sin(i[0]),), doc="cosine")
tan: ApiFunction = define("tan", 1, upgraded, lambda g, z, i: (g * (1 + sqr(z)),), doc="tangent")
arcsin: ApiFunction = define(
    "arcsin", 1, upgraded, lambda g, z, i: (g / sqrt(_one_minus_square(i[0])),),
    doc="the angle between -pi/2 and pi/2 whose sine is x; NaN where |x| > 1",
)  # fmt: skip
arccos: ApiFunction = define(
    "arccos", 1, upgraded, lambda g, z, i: (-g / sqrt(_one_minus_square(i[0])),),
    doc="the angle between 0 and pi whose cosine is x; NaN where |x| > 1",
)  # fmt: skip
arctan: ApiFunction = define(
    "arctan", 1, upgraded, lambda g, z, i: (g / (1 + sqr(i[0])),),
    doc="the angle between -pi/2 and pi/2 whose tangent is x",
)  # fmt: skip
arctan2: ApiFunction = define(
    "arctan2", 2, upgraded,
    lambda g, z, i: (
        g * i[1] / (sqr(i[0]) + sqr(i[1])), -g * i[0] / (sqr(i[0]) + sqr(i[1])),
    ),
    doc="the angle between -pi and pi of the point (y, x), its second coordinate given first",
)  # fmt: skip

sinh: ApiFunction = define(
    "sinh", 1, upgraded, lambda g, z, i: (g * cosh(i[0]),), doc="hyperbolic sine"
)
cosh: ApiFunction = define(
    "cosh", 1, upgraded, lambda g, z, i: (g * sinh(i[0]),), doc="hyperbolic cosine"
)
arcsinh: ApiFunction = define(
    "arcsinh", 1, upgraded, lambda g, z, i: (g / sqrt(sqr(i[0]) + 1),),
    doc="the number whose hyperbolic sine is x",
)  # fmt: skip
arccosh: ApiFunction = define(
    "arccosh", 1, upgraded, lambda g, z, i: (g / sqrt((i[0] - 1) * (i[0] + 1)),),
    doc="the positive number whose hyperbolic cosine is x; NaN where x < 1",
)  # fmt: skip
arctanh: ApiFunction = define(
    "arctanh", 1, upgraded, lambda g, z, i: (g / _one_minus_square(i[0]),),
    doc="the number whose hyperbolic tangent is x; NaN where |x| > 1",
)  # fmt: skip


@api_function
def deg2rad(x: Any) -> Variable:
    """Degrees as radians."""
    degrees = as_float(x)
    return degrees * number_like(math.pi / 180, degrees)


@api_function
def rad2deg(x: Any) -> Variable:
    """Radians as degrees."""
    radians = as_float(x)
    return radians * number_like(180 / math.pi, radians)
