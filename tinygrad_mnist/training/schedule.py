"""Learning rates that change from step to step, as expressions of a step counter.

The counter is a shared variable with a default update: it advances whenever a function that uses
the rate runs a step, in a call or a sweep, without going back to Python.
"""

from __future__ import annotations

import math

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.sharedvalue import shared

_WARM_UP = 0.1  # part of the steps in which the rate rises


def as_rate(value: float | Variable) -> float | Variable:
    """A learning rate or an L2 strength that keeps updates in floatX. A NumPy float64, or a shared
    variable made from a Python float, would make every update float64."""
    return T.cast(value, "floatX") if isinstance(value, Variable) else float(value)


def annealed(peak: float, steps: int) -> Variable:
    """A rate that rises from 0 to `peak` in the first tenth of `steps` and then falls to 0.

    Both parts are linear. A few epochs with it reach the accuracy of many with a constant rate.

    Returns a floatX scalar to use as `eta`; beyond `steps` it is 0. Source: L. N. Smith,
    "A disciplined approach to neural network hyper-parameters" (2018), without the momentum.
    """
    t = _part_done(steps)
    rising, falling = t / _WARM_UP, (1 - t) / (1 - _WARM_UP)
    return peak * T.maximum(T.minimum(rising, falling), 0)


def falling(first: float, last: float, steps: int) -> Variable:
    """A rate that falls from `first` to `last` in so many steps, by a constant factor per step.

    Returns a floatX scalar to use as `eta`; beyond `steps` it stays at `last`.
    """
    t = T.minimum(_part_done(steps), 1)
    return first * T.exp(t * math.log(last / first))


def _part_done(steps: int) -> Variable:
    """The number of steps so far, by a counter of its own, divided by `steps`."""
    counter = shared(np.int64(0), name="step")
    counter.default_update = counter + 1
    return T.cast(counter, "floatX") / steps
