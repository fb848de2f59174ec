"""Special functions. Integers give a float."""

from __future__ import annotations

import math

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import ApiFunction, define, exp, number_like, sqr, upgraded


def _bell(x: Variable) -> Variable:
    """The derivative of erf."""
    return exp(-sqr(x)) * number_like(2 / math.sqrt(math.pi), x)


erf: ApiFunction = define(
    "erf", 1, upgraded, lambda g, z, i: (g * _bell(i[0]),), doc="error function"
)
erfc: ApiFunction = define(
    "erfc", 1, upgraded, lambda g, z, i: (-g * _bell(i[0]),), doc="1 - erf(x)"
)
