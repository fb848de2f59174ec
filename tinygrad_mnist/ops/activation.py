"""Activations that are compositions: fusion makes one tape of each, and gradients need no rules.

At a kink the slope is Theano's. A branch that is not taken computes finite values, so that its
gradient needs no mask.
"""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import (
    abs_,
    cast,
    gt,
    lt,
    maximum,
    minimum,
    number_like,
    sgn,
    switch,
)
from tinygrad_mnist.ops.exponential import expm1


def _clip(x: Variable, low: float, high: float) -> Variable:
    return minimum(maximum(x, low), high)


def relu(x: Any, alpha: Any = 0) -> Variable:
    """max(0, x), with slope 0 at 0; or, with another `alpha`, x where it is positive and alpha * x
    elsewhere, with slope (1 + alpha) / 2 at 0.

    alpha: a number, or an array that broadcasts with x, such as a slope per channel.
    """
    variable = as_variable(x)
    slope = as_variable(alpha)
    if isinstance(slope, Constant) and slope.ndim == 0 and slope.value == 0:
        return maximum(0.0, variable)
    if isinstance(slope, Constant) and slope.weak:
        slope = cast(slope, variable.dtype if variable.type.is_float else "floatX")
    slope = switch(lt(variable, 0), slope, (1 + slope) * 0.5)
    return variable * switch(gt(variable, 0), 1, slope)


def elu(x: Any, alpha: Any = 1) -> Variable:
    """x where it is positive, alpha * (exp(x) - 1) elsewhere; at 0 the slope is alpha.

    alpha: a number, or an array that broadcasts with x.
    """
    variable = as_variable(x)
    return switch(gt(variable, 0), variable, alpha * expm1(minimum(variable, 0)))


def selu(x: Any) -> Variable:
    """`elu`, scaled so that activations tend to mean 0 and variance 1.

    Source of the two numbers: Klambauer et al., Self-Normalizing Neural Networks (2017).
    """
    variable = as_variable(x)
    scale, alpha = (number_like(n, variable) for n in (1.0507009873554805, 1.6732632423543772))
    return scale * elu(variable, alpha)


def softsign(x: Any) -> Variable:
    """x / (1 + |x|); in a form whose slope, 1 / (1 + |x|)**2, doesn't cancel for large x."""
    variable = as_variable(x)
    size, near = abs_(variable), _clip(variable, -1, 1)
    far = sgn(variable) * (1 - 1 / (1 + size))
    return switch(gt(size, 1), far, near / (1 + abs_(near)))


def hard_sigmoid(x: Any) -> Variable:
    """0.2 x + 0.5, clipped to [0, 1]; the slope is 0.2 inside and at the kinks."""
    variable = as_variable(x)
    return _clip(variable * number_like(0.2, variable) + 0.5, 0, 1)


def ultra_fast_sigmoid(x: Any) -> Variable:
    """An approximation of the sigmoid in three pieces per side: a fraction, a line, a constant."""
    half = _clip(as_variable(x) * 0.5, -3, 3)  # constant from there on
    size, side = abs_(half), sgn(half)
    start, slope, kink, most = (
        number_like(n, half) for n in (0.935409070603099, 0.0458812946797165, 1.7, 0.99505475368673)
    )
    outer = side * switch(lt(size, 3), start + slope * (size - kink), most)
    return 0.5 * switch(lt(size, kink), 1.5 * half / (1 + size), outer) + 0.5
