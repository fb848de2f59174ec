"""Exponentials and logarithms beyond `exp` and `log`, and the reciprocal. Integers give a float."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import (
    ApiFunction,
    as_float,
    define,
    exp,
    number_like,
    upgraded,
)

LN2, LN10 = math.log(2), math.log(10)

exp2: ApiFunction = define(
    "exp2", 1, upgraded, lambda g, z, i: (g * z * number_like(LN2, z),), doc="2 to the x"
)
expm1: ApiFunction = define(
    "expm1", 1, upgraded, lambda g, z, i: (g * exp(i[0]),), doc="exp(x) - 1, also where x is tiny"
)
log2: ApiFunction = define(
    "log2", 1, upgraded, lambda g, z, i: (g / (i[0] * number_like(LN2, z)),),
    doc="base-2 logarithm",
)  # fmt: skip
log10: ApiFunction = define(
    "log10",
    1,
    upgraded,
    lambda g, z, i: (g / (i[0] * number_like(LN10, z)),),
    doc="base-10 logarithm",
)


@api_function
def inv(x: Any) -> Variable:
    """1 / x."""
    return 1 / as_float(x)
