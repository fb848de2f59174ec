"""Learning rates that depend on the number of the step, with Keras's names and formulas.

A schedule is called with a step. For a symbolic one, such as an optimizer's counter, it returns an
expression; so one plan serves all steps. For a number it returns a float.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import choice, flag, number, several
from tinygrad_mnist.graph.variables import Variable


class LearningRateSchedule:
    """A function of the number of the step, counted from 0.

    A subclass defines `__call__(step)`, for a symbolic integer and for a number.
    """

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has to define __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """The arguments with which the schedule was made."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """A schedule made with these arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class _Formula(LearningRateSchedule):
    """A schedule that is one formula, of NumPy's functions or of ours."""

    def __call__(self, step: Any) -> Any:
        if isinstance(step, Variable):
            return self.formula(T.cast(step, "float64"), T)
        return float(self.formula(number(step, "step"), np))

    def formula(self, step: Any, xp: Any) -> Any:
        """The rate. step: of float64. xp: the module whose functions take it."""
        raise NotImplementedError


class ExponentialDecay(_Formula):
    """initial_learning_rate * decay_rate ** (step / decay_steps); with `staircase` the exponent is
    rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self.initial_learning_rate = number(initial_learning_rate, "initial_learning_rate")
        self.decay_steps = _positive(decay_steps, "decay_steps")
        self.decay_rate = _positive(decay_rate, "decay_rate")
        self.staircase = flag(staircase, "staircase")

    def formula(self, step: Any, xp: Any) -> Any:
        periods = step / self.decay_steps
        exponent = xp.floor(periods) if self.staircase else periods
        return self.initial_learning_rate * self.decay_rate**exponent


class InverseTimeDecay(_Formula):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); with `staircase` the quotient
    step / decay_steps is rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self.initial_learning_rate = number(initial_learning_rate, "initial_learning_rate")
        self.decay_steps = _positive(decay_steps, "decay_steps")
        self.decay_rate = number(decay_rate, "decay_rate")
        self.staircase = flag(staircase, "staircase")

    def formula(self, step: Any, xp: Any) -> Any:
        periods = step / self.decay_steps
        whole = xp.floor(periods) if self.staircase else periods
        return self.initial_learning_rate / (1 + self.decay_rate * whole)


class PolynomialDecay(_Formula):
    """From initial_learning_rate to end_learning_rate in `decay_steps`, by (1 - step/decay_steps)
    to a power. With `cycle` it starts again, each time with a longer way; else the end rate stays.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        self.initial_learning_rate = number(initial_learning_rate, "initial_learning_rate")
        self.decay_steps = _positive(decay_steps, "decay_steps")
        self.end_learning_rate = number(end_learning_rate, "end_learning_rate")
        self.power = number(power, "power")
        self.cycle = flag(cycle, "cycle")

    def formula(self, step: Any, xp: Any) -> Any:
        steps: Any = self.decay_steps
        if self.cycle:
            steps = steps * xp.maximum(xp.ceil(step / steps), 1.0)
        else:
            step = xp.minimum(step, steps)
        way = self.initial_learning_rate - self.end_learning_rate
        return way * (1 - step / steps) ** self.power + self.end_learning_rate


class CosineDecay(_Formula):
    """Half a cosine from a rate to alpha times that rate in `decay_steps`.

    The rate is initial_learning_rate; with a `warmup_target` it is that, and a straight line leads
    to it from initial_learning_rate in `warmup_steps`.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = number(initial_learning_rate, "initial_learning_rate")
        self.decay_steps = _positive(decay_steps, "decay_steps")
        self.alpha = number(alpha, "alpha")
        self.warmup_target = warmup_target
        self.warmup_steps = number(warmup_steps, "warmup_steps")
        if warmup_target is not None:
            self.warmup_target = number(warmup_target, "warmup_target")
        if self.warmup_steps < 0:
            raise ArgumentError(f"warmup_steps is {warmup_steps}; it must be 0 or more")

    def formula(self, step: Any, xp: Any) -> Any:
        if self.warmup_target is None:
            return self._decayed(step, self.initial_learning_rate, xp)
        decayed = self._decayed(step - self.warmup_steps, self.warmup_target, xp)
        if not self.warmup_steps:
            return decayed
        way = self.warmup_target - self.initial_learning_rate
        rising = self.initial_learning_rate + way * (step / self.warmup_steps)
        return xp.where(step < self.warmup_steps, rising, decayed)

    def _decayed(self, step: Any, rate: float, xp: Any) -> Any:
        share = xp.minimum(step, self.decay_steps) / self.decay_steps
        cosine = 0.5 * (1 + xp.cos(math.pi * share))
        return rate * ((1 - self.alpha) * cosine + self.alpha)


class PiecewiseConstantDecay(_Formula):
    """values[i] until step boundaries[i], this step included; behind the last one, values[-1].

    Raises ValueError unless there is one value more than boundaries, and these rise.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]) -> None:
        self.boundaries = [
            number(b, "a boundary") for b in several(boundaries, "boundaries", "numbers")
        ]
        self.values = [number(v, "a value") for v in several(values, "values", "numbers")]
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, "
                f"not {len(self.values)}"
            )
        if self.boundaries != sorted(set(self.boundaries)):
            raise ArgumentError(f"boundaries is {self.boundaries}; each must be above the last")

    def formula(self, step: Any, xp: Any) -> Any:
        rate: Any = self.values[-1]
        for boundary, value in reversed(list(zip(self.boundaries, self.values, strict=False))):
            rate = xp.where(step <= boundary, value, rate)
        return rate


def _positive(value: Any, what: str) -> float:
    checked = number(value, what)
    if not 0 < checked < math.inf:
        raise ArgumentError(f"{what} is {value}; it must be greater than 0")
    return checked


_TABLE = {
    cls.__name__: cls
    for cls in (
        ExponentialDecay,
        InverseTimeDecay,
        PolynomialDecay,
        CosineDecay,
        PiecewiseConstantDecay,
    )
}


def schedule_of(description: Mapping[str, Any]) -> LearningRateSchedule:
    """The schedule that a dict of "class_name" and "config" describes, as Keras writes it.

    Raises GraphTypeError and ArgumentError, which list the names.
    """
    name = choice(description.get("class_name"), _TABLE, "the 'class_name' of a schedule")
    return _TABLE[name].from_config(dict(description.get("config", {})))


__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]
