"""Activations that are compositions: fusion makes one tape of each, and gradients need no rules.

At a kink the slope is Theano's. A branch that is not taken computes finite values, so that its
gradient needs no mask.
"""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import abs_, cast, gt, lt, maximum, minimum, sgn, switch
from tinygrad_mnist.ops.exponential import expm1


def _clip(x: Variable, low: float, high: float) -> Variable:
    return minimum(maximum(x, low), high)


def relu(x: Any, alpha: Any = 0) -> Variable:
    """max(0, x), with slope 0 at 0; or, with another `alpha`, x where it is positive and alpha * x
    elsewhere, with slope (1 + alpha) / 2 at 0.

    alpha: a number, or an array that broadcasts with x, such as a slope per channel.
    """
    variable = as_variable(x)
    if not isinstance(alpha, Variable) and alpha == 0:
        return maximum(0.0, variable)
    slope = as_variable(alpha)
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
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def hard_sigmoid(x: Any) -> Variable:
    """0.2 x + 0.5, clipped to [0, 1]; the slope is 0.2 inside and at the kinks."""
    return _clip(as_variable(x) * 0.2 + 0.5, 0, 1)


def ultra_fast_sigmoid(x: Any) -> Variable:
    """An approximation of the sigmoid in three pieces per side: a fraction, a line, a constant."""
    half = _clip(as_variable(x) * 0.5, -3, 3)  # constant from there on
    size, side = abs_(half), sgn(half)
    line = 0.935409070603099 + 0.0458812946797165 * (size - 1.7)
    outer = side * switch(lt(size, 3), line, 0.99505475368673)
    return 0.5 * switch(lt(size, 1.7), 1.5 * half / (1 + size), outer) + 0.5
