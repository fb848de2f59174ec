"""Keras's optimizers: plain and momentum SGD, those that adapt a rate per element, and Adam's kin.

g is the gradient, w the parameter; all other letters are state. Each docstring has the rule. Where
Keras differs from a paper, such as in where epsilon is added, the rule is Keras's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import flag
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.optimizers.base import (
    DecayOptions,
    Optimizer,
    Options,
    State,
    Updates,
    fraction,
    not_negative,
    small_number,
)
from tinygrad_mnist.sharedvalue import shared

Step = tuple[Variable, Sequence[Variable]]


class SGD(Optimizer):
    """Stochastic gradient descent: w - rate * g.

    With a momentum m = momentum * m - rate * g, and w + m; with `nesterov` too
    w + momentum * m - rate * g.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[DecayOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = fraction(momentum, "momentum", end=True)
        self.nesterov = flag(nesterov, "nesterov")
        self.slots = ("momentum",) if self.momentum else ()

    def rule(self, w: Variable, g: Variable, state: State, *scalars: Variable) -> Step:
        (rate,) = scalars
        if not state:
            return w - g * rate, ()
        m = state[0] * self.momentum - g * rate
        return w + (m * self.momentum - g * rate if self.nesterov else m), (m,)


class RMSprop(Optimizer):
    """w - rate * g / sqrt(v + epsilon), where v is a running mean of g^2.

    v = rho * v + (1 - rho) * g^2; `centered` takes the square of a running mean of g from v. With a
    momentum, the steps are summed up: m = momentum * m + step, and w - m.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float | None = 1e-7,
        centered: bool = False,
        **options: Unpack[DecayOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = fraction(rho, "rho")
        self.momentum = fraction(momentum, "momentum", end=True)
        self.epsilon = small_number(epsilon)
        self.centered = flag(centered, "centered")
        optional = {"average": self.centered, "momentum": bool(self.momentum)}
        self.slots = ("velocity", *(slot for slot, used in optional.items() if used))

    def rule(self, w: Variable, g: Variable, state: State, *scalars: Variable) -> Step:
        (rate,) = scalars
        v = self.rho * state[0] + (1 - self.rho) * T.sqr(g)
        new, variance = [v], v
        if self.centered:
            average = self.rho * state[1] + (1 - self.rho) * g
            new, variance = [v, average], v - T.sqr(average)
        step = rate * g / T.sqrt(variance + self.epsilon)
        if self.momentum:
            step = self.momentum * state[-1] + step
            new.append(step)
        return w - step, new


class Adagrad(Optimizer):
    """w - rate * g / sqrt(a + epsilon), where a = a + g^2 starts from
    `initial_accumulator_value`."""

    slots = ("accumulator",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float | None = 1e-7,
        **options: Unpack[DecayOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = not_negative(
            initial_accumulator_value, "initial_accumulator_value"
        )
        self.epsilon = small_number(epsilon)

    def initial(self, slot: str, w: SharedVariable) -> float:
        return self.initial_accumulator_value

    def rule(self, w: Variable, g: Variable, state: State, *scalars: Variable) -> Step:
        (rate,) = scalars
        accumulator = state[0] + T.sqr(g)
        return w - rate * g / T.sqrt(accumulator + self.epsilon), (accumulator,)


class Adadelta(Optimizer):
    """w - rate * d, with steps d in the units of w: d = g * sqrt(s + epsilon) / sqrt(a + epsilon).

    a and s are running means of g^2 and of d^2: a = rho * a + (1 - rho) * g^2, and s likewise after
    the step. Keras's rate is 0.001; that of the paper is 1.
    """

    slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float | None = 1e-7,
        **options: Unpack[DecayOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = fraction(rho, "rho")
        self.epsilon = small_number(epsilon)

    def rule(self, w: Variable, g: Variable, state: State, *scalars: Variable) -> Step:
        (rate,) = scalars
        a = self.rho * state[0] + (1 - self.rho) * T.sqr(g)
        d = g * T.sqrt(state[1] + self.epsilon) / T.sqrt(a + self.epsilon)
        s = self.rho * state[1] + (1 - self.rho) * T.sqr(d)
        return w - rate * d, (a, s)


class _Moments(Optimizer):
    """What Adam, Adamax and Nadam share: running means with the rates beta_1 and beta_2."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = 1e-7,
        **options: Unpack[DecayOptions],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = fraction(beta_1, "beta_1")
        self.beta_2 = fraction(beta_2, "beta_2")
        self.epsilon = small_number(epsilon)

    def _mean(self, m: Variable, g: Variable) -> Variable:
        return m + (g - m) * (1 - self.beta_1)

    def _mean_square(self, v: Variable, g: Variable) -> Variable:
        return v + (T.sqr(g) - v) * (1 - self.beta_2)


class Adam(_Moments):
    """w - alpha * m / (sqrt(v) + epsilon), where m and v are running means of g and g^2.

    m = beta_1 * m + (1 - beta_1) * g, v = beta_2 * v + (1 - beta_2) * g^2. In step t
    alpha = rate * sqrt(1 - beta_2^t) / (1 - beta_1^t). With `amsgrad`, the greatest v so far takes
    the place of v.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[DecayOptions],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self.amsgrad = flag(amsgrad, "amsgrad")
        hats = ("velocity_hat",) if self.amsgrad else ()
        self.slots = ("momentum", "velocity", *hats)

    def scalars(self, rate: Variable, step: Variable, updates: Updates) -> Sequence[Variable]:
        return [rate * T.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)]

    def rule(self, w: Variable, g: Variable, state: State, *scalars: Variable) -> Step:
        (alpha,) = scalars
        m, v = self._mean(state[0], g), self._mean_square(state[1], g)
        hats = [T.maximum(state[2], v)] if self.amsgrad else []
        return w - m * alpha / (T.sqrt([v, *hats][-1]) + self.epsilon), (m, v, *hats)


class AdamW(Adam):
    """Adam with weight decay: w - rate * weight_decay * w takes the place of w."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        if weight_decay is None:
            raise ArgumentError("AdamW needs a weight_decay; Adam has none")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options
        )


class Adamax(_Moments):
    """w - rate / (1 - beta_1^t) * m / (u + epsilon), where m is a running mean of g, and
    u = max(beta_2 * u, |g|)."""

    slots = ("momentum", "norm")

    def scalars(self, rate: Variable, step: Variable, updates: Updates) -> Sequence[Variable]:
        return [rate / (1 - self.beta_1**step)]

    def rule(self, w: Variable, g: Variable, state: State, *scalars: Variable) -> Step:
        (alpha,) = scalars
        m = self._mean(state[0], g)
        u = T.maximum(self.beta_2 * state[1], abs(g))
        return w - alpha * m / (u + self.epsilon), (m, u)


class Nadam(_Moments):
    """Adam with Nesterov's momentum: w - rate * n / (sqrt(v / (1 - beta_2^t)) + epsilon).

    n = u' * m / (1 - p * u') + (1 - u) * g / (1 - p), where u = beta_1 * (1 - 0.96^t / 2), u' is
    that of the next step, and p is the product of all u so far.
    """

    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = 1e-7,
        **options: Unpack[DecayOptions],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self._product = shared(np.float64(1), "u_product")

    @property
    def variables(self) -> list[SharedVariable]:
        return [*super().variables, self._product]

    def scalars(self, rate: Variable, step: Variable, updates: Updates) -> Sequence[Variable]:
        now, following = (self.beta_1 * (1 - 0.5 * 0.96**t) for t in (step, step + 1))
        product = self._product * now
        updates.append((self._product, product))
        of_m = rate * following / (1 - product * following)
        of_g = rate * (1 - now) / (1 - product)
        return [of_m, of_g, 1 / (1 - self.beta_2**step)]

    def rule(self, w: Variable, g: Variable, state: State, *scalars: Variable) -> Step:
        of_m, of_g, correction = scalars
        m, v = self._mean(state[0], g), self._mean_square(state[1], g)
        step = (of_m * m + of_g * g) / (T.sqrt(v * correction) + self.epsilon)
        return w - step, (m, v)


__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Nadam", "RMSprop"]
