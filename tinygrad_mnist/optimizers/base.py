"""`Optimizer`: the learning rate, clipping, weight decay and state that all update rules share."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import check_name, number, several, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.optimizers.schedules import LearningRateSchedule, schedule_of
from tinygrad_mnist.optimizers.setting import Setting
from tinygrad_mnist.sharedvalue import shared

Updates = list[tuple[SharedVariable, Variable]]
State = tuple[SharedVariable, ...]
Rate = float | Variable | LearningRateSchedule


class Options(TypedDict, total=False):
    """What every optimizer takes besides the numbers of its rule; see `Optimizer`."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    name: str | None
    lr: Rate
    decay: float


class DecayOptions(Options, total=False):
    """What all but AdamW take, which has a weight decay of its own."""

    weight_decay: float | None


class Optimizer:
    """A rule by which parameters follow their gradients, with the state that it keeps.

    `updates(cost, params)` are updates for `function`. The rules and the defaults are Keras's.

    learning_rate: a number, which is kept in a shared scalar and may be set between two calls: no
    plan is made anew. Or a `LearningRateSchedule`, or a variable of the caller. `lr` is its old
    name. clipvalue: each gradient is cut to this range around 0. clipnorm: a gradient with a larger
    L2 norm is scaled to this norm; global_clipnorm: all gradients together are. Only one of the
    three may be given. weight_decay: before each step, parameters lose this share times the rate.
    decay: that of Keras before 3: the rate is divided by 1 + decay * step, counted from 0.

    Raises TypeError and ValueError for arguments of the wrong kind or out of range.
    """

    slots: tuple[str, ...] = ()
    """The names of the variables that the rule keeps for each parameter."""

    def __init__(self, learning_rate: Any = 0.001, **options: Unpack[DecayOptions]) -> None:
        known = (*Options.__annotations__, "weight_decay")
        for given in options:
            if given not in known:
                raise GraphTypeError(
                    f"{type(self).__name__} has no argument {given!r}; all take {', '.join(known)}"
                )
        if "lr" in options:
            learning_rate = options["lr"]
        self.name = options.get("name") or type(self).__name__.lower()
        check_name(self.name, "the name of an optimizer")
        self.weight_decay = _optional(options, "weight_decay", zero=True)
        self.decay = not_negative(options.get("decay", 0.0), "decay")
        self.clipnorm = _optional(options, "clipnorm")
        self.clipvalue = _optional(options, "clipvalue")
        self.global_clipnorm = _optional(options, "global_clipnorm")
        clips = ("clipnorm", "clipvalue", "global_clipnorm")
        chosen = [clip for clip in clips if getattr(self, clip) is not None]
        if len(chosen) > 1:
            raise ArgumentError(f"only one of {', '.join(clips)} can be given, not {chosen}")
        self.iterations = shared(np.int64(0), "iterations")
        self._rate = _as_rate(learning_rate)
        self._state: dict[SharedVariable, State] = {}
        self._undecayed: set[SharedVariable] = set()
        self._undecayed_names: list[re.Pattern[str]] = []

    # --- the learning rate ------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The shared scalar; of a schedule, the rate of the next step as a float. A number that is
        assigned counts from the next call on; so does a variable's present value."""
        if isinstance(self._rate, LearningRateSchedule):
            rate = self._rate(int(self.iterations.get_value()))
            return float(rate.eval() if isinstance(rate, Variable) else rate)
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if not isinstance(self._rate, Setting):
            raise GraphTypeError(
                f"the learning rate of {self.name} is {shown(self._rate)}, so it can't be set; "
                "an optimizer made with a number has one that can"
            )
        self._rate.set_value(_checked_rate(value.eval() if isinstance(value, Variable) else value))

    lr = learning_rate

    # --- updates ----------------------------------------------------------------------------------

    def updates(self, cost: Any, params: Any) -> Updates:
        """One step for `function(..., updates=)`: the new values of the parameters, of the state
        and of `iterations`.

        cost: a scalar variable, or the gradients of the parameters as a list. params: a shared
        variable of floats or several. The state of a parameter is made at the first call with it,
        and used again by later calls.

        Raises GraphTypeError and ArgumentError for parameters that can't be trained; `grad`'s
        errors.
        """
        parameters = _parameters(params)
        gradients = self._clipped(_gradients(cost, parameters))
        updates: Updates = [(self.iterations, self.iterations + 1)]
        rate = self._current_rate()
        scalars = self.scalars(rate, T.cast(self.iterations + 1, "float64"), updates)
        for i, (w, g) in enumerate(zip(parameters, gradients, strict=True)):
            state = self._state_of(w, i)
            old = self._decayed(w, rate)
            own = [T.cast(scalar, w.dtype) for scalar in scalars]
            new, new_state = self.rule(old, T.cast(g, w.dtype), state, *own)
            pairs = [*zip(state, new_state, strict=True), (w, new)]
            updates += [(variable, T.cast(value, w.dtype)) for variable, value in pairs]
        return updates

    def scalars(self, rate: Variable, step: Variable, updates: Updates) -> Sequence[Variable]:
        """What the rule needs of the rate and of the step's number, which counts from 1: scalars
        of float64, the same for all parameters. A rule may add updates of its own."""
        return [rate]

    def rule(
        self, w: Variable, g: Variable, state: State, *scalars: Variable
    ) -> tuple[Variable, Sequence[Variable]]:
        """The new values of a parameter and of its state. w, g: the parameter and its gradient."""
        raise NotImplementedError(f"{type(self).__name__} has no rule")

    # --- arguments --------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments with which the optimizer was made, as numbers, texts and dicts; the rate is
        the present one. Raises GraphTypeError for a rate that is a variable of the caller."""
        if isinstance(self._rate, LearningRateSchedule):
            schedule = type(self._rate).__name__
            rate: Any = {"class_name": schedule, "config": self._rate.get_config()}
        elif isinstance(self._rate, Setting):
            rate = float(self._rate)
        else:
            raise GraphTypeError(f"the learning rate of {self.name} is a variable: {self._rate}")
        own = inspect.signature(type(self)).parameters
        common = (*Options.__annotations__, "weight_decay")
        names = [name for name in (*own, *common) if name not in ("learning_rate", "lr", "options")]
        return {"learning_rate": rate, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """An optimizer made with these arguments."""
        return cls(**config)

    # --- state ------------------------------------------------------------------------------------

    @property
    def variables(self) -> list[SharedVariable]:
        """All that the optimizer keeps: `iterations`, the learning rate if it is its own, and the
        state of each parameter in turn."""
        rate = [self._rate] if isinstance(self._rate, Setting) else []
        return [self.iterations, *rate, *(v for state in self._state.values() for v in state)]

    @property
    def state(self) -> Mapping[SharedVariable, State]:
        """What the rule keeps for each parameter: a variable for each of `slots`."""
        return self._state

    def build(self, var_list: Iterable[SharedVariable]) -> None:
        """Makes the state of parameters, if it isn't there yet."""
        for i, w in enumerate(_parameters(list(var_list))):
            self._state_of(w, i)

    def initial(self, slot: str, w: SharedVariable) -> float:
        """What all elements of a new state variable are."""
        return 0.0

    def exclude_from_weight_decay(
        self, var_list: Iterable[SharedVariable] = (), var_names: Iterable[str] = ()
    ) -> None:
        """Leaves parameters without weight decay: those listed, and those whose names have one of
        the texts in them, as a regular expression. It counts for updates made later."""
        self._undecayed = set(var_list)
        self._undecayed_names = [re.compile(text) for text in var_names]

    def _state_of(self, w: SharedVariable, position: int) -> State:
        if w not in self._state:
            name = w.name or f"parameter{position}"
            values = w.get_value(borrow=True)
            self._state[w] = tuple(
                shared(
                    np.full(values.shape, self.initial(slot, w), w.dtype),
                    f"{name}_{slot}",
                    broadcastable=w.broadcastable,
                )
                for slot in self.slots
            )
        return self._state[w]

    # --- what all rules share ---------------------------------------------------------------------

    def _current_rate(self) -> Variable:
        """The rate of the step, of float64."""
        rate: Any = self._rate
        if isinstance(rate, LearningRateSchedule):
            rate = rate(self.iterations)
        wide = T.cast(T.as_tensor_variable(rate), "float64")
        return wide / (1 + self.decay * self.iterations) if self.decay else wide

    def _decayed(self, w: SharedVariable, rate: Variable) -> Variable:
        is_named = any(pattern.search(w.name or "") for pattern in self._undecayed_names)
        if not self.weight_decay or w in self._undecayed or is_named:
            return w
        return w - w * T.cast(rate * self.weight_decay, w.dtype)

    def _clipped(self, gradients: list[Variable]) -> list[Variable]:
        if self.clipvalue is not None:
            return [T.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [g * _scale([g], self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            scale = _scale(gradients, self.global_clipnorm)
            return [g * T.cast(scale, g.dtype) for g in gradients]
        return gradients


# --- arguments ------------------------------------------------------------------------------------


def fraction(value: Any, what: str, end: bool = False) -> float:
    """A number from 0 on and below 1; with `end`, 1 is allowed. Raises TypeError, ValueError."""
    checked = number(value, what)
    if not (0 <= checked < 1 or (end and checked == 1)):
        raise ArgumentError(f"{what} is {value}; it must be in 0..1{'' if end else ', below 1'}")
    return checked


def not_negative(value: Any, what: str) -> float:
    """A finite number that is not negative. Raises TypeError, ValueError."""
    checked = number(value, what)
    if not 0 <= checked < np.inf:
        raise ArgumentError(f"{what} is {value}; it must be a finite number, 0 or more")
    return checked


def small_number(epsilon: Any) -> float:
    """An epsilon; None is Keras's 1e-7, as it was its default before 3. Raises TypeError,
    ValueError."""
    return 1e-7 if epsilon is None else not_negative(epsilon, "epsilon")


def _optional(options: DecayOptions, what: str, zero: bool = False) -> float | None:
    value = options.get(what)
    if value is None:
        return None
    checked = not_negative(value, what)
    if checked == 0 and not zero:
        raise ArgumentError(f"{what} is 0; it must be greater, or None")
    return checked


def _checked_rate(value: Any) -> float:
    is_number = isinstance(value, np.ndarray) and value.ndim == 0
    return not_negative(value[()] if is_number else value, "learning_rate")


def _as_rate(value: Any) -> Variable | LearningRateSchedule:
    if isinstance(value, Mapping):
        value = schedule_of(value)
    if isinstance(value, LearningRateSchedule):
        return value
    if isinstance(value, Variable):
        if value.ndim:
            raise GraphTypeError(f"learning_rate is {shown(value)}, {value.type}; it is a scalar")
        return value
    if callable(value):
        raise GraphTypeError(
            f"learning_rate is {shown(value)}; a rate that depends on the step is a subclass of "
            "schedules.LearningRateSchedule, called with the step's number"
        )
    return Setting(_checked_rate(value), config.floatX, "learning_rate")


def _parameters(params: Any) -> list[SharedVariable]:
    is_one = isinstance(params, Variable)
    given = [params] if is_one else list(several(params, "params", "shared variables"))
    for w in given:
        if not isinstance(w, SharedVariable):
            raise GraphTypeError(f"params has {shown(w)}; only shared variables can be trained")
        if not w.type.is_float:
            raise GraphTypeError(f"params has {w}, {w.type}; only floats can be trained")
    twice = [str(w) for i, w in enumerate(given) if w in given[:i]]
    if twice:
        raise ArgumentError(f"params has {twice[0]} twice")
    return given


def _gradients(cost: Any, parameters: list[SharedVariable]) -> list[Variable]:
    if isinstance(cost, Variable):
        return list(grad(cost, parameters))
    gradients = [T.as_tensor_variable(g) for g in cost]
    if len(gradients) != len(parameters):
        raise ArgumentError(f"{len(gradients)} gradients don't fit {len(parameters)} parameters")
    for w, g in zip(parameters, gradients, strict=True):
        if g.ndim != w.ndim:
            raise GraphTypeError(f"the gradient of {w}, {w.type}, is {g.type}")
    return gradients


def _scale(gradients: Sequence[Variable], norm: float) -> Variable:
    """What brings gradients to an L2 norm of at most `norm`."""
    squares = [T.sum(T.sqr(g)) for g in gradients]
    return norm / T.maximum(T.sqrt(sum(squares[1:], squares[0])), norm)
