"""Integer scalars that live on the host: slice bounds, lengths, indices.

While a graph is specialised, every integer that a shape or a slice depends on is traced back to
the function's integer inputs. What shapes depend on becomes a *guard*: the plan holds only where
it has the same value again. What merely moves a view becomes a *slot*, computed anew for every
call. Both end up in one small Python function of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_mnist.errors import IndexOutOfRangeError, ShapeError
from tinygrad_mnist.graph.layout import Offset
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.types import INTEGERS
from tinygrad_mnist.graph.variables import Constant, Input, Variable

# Arithmetic that host integers may go through, as Python expressions. Those of the first kind may
# leave the range of their dtype: then they wrap around, as on a device.
_WRAPPING = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "int_div": "{} // {}",  # of the least integer by -1
    "neg": "-{}",
    "cast": "{}",
}
_ARITHMETIC = _WRAPPING | {
    "mod": "({} % {})",
    "maximum": "max({}, {})",
    "minimum": "min({}, {})",
}

_SHOWN = 60  # characters of an expression in a legend

HostFunction = Callable[..., tuple[tuple[int, ...], tuple[int, ...]]]


@dataclass(frozen=True)
class HostProgram:
    """What each call computes on the host before the plan runs.

    inputs: the integer scalars that it takes, in order.
    function: their values -> (guards, slots).
    guards: the values for which the plan was made.
    n_slots: number of slots.
    text: the function's source, for printing.
    legend: what each slot is, in the user's names: `start of [i * 10 : (i + 1) * 10] in 25`.
    """

    inputs: tuple[Variable, ...]
    function: HostFunction
    guards: tuple[int, ...]
    n_slots: int
    text: str
    legend: tuple[str, ...] = ()


def checked_index(index: int, length: int) -> int:
    """`index` counted from 0; IndexOutOfRangeError where it is not in a dimension so long."""
    if not -length <= index < length:
        raise IndexOutOfRangeError(f"index {index} is out of range for a length of {length}")
    return index + length if index < 0 else index


def _wrapping(dtype: str) -> Callable[[int], int]:
    """The function that gives an integer as `dtype` has it, which wraps around."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    size = high - low + 1

    def wrapped(value: int) -> int:
        return value if low <= value <= high else (value - low) % size + low

    return wrapped


# What the generated functions call.
_SCOPE: dict[str, Any] = {"checked_index": checked_index} | {d: _wrapping(d) for d in INTEGERS}


def _unparenthesised(text: str) -> str:
    """An expression without the parentheses around all of it."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def _is_arithmetic(v: Variable) -> bool:
    """Whether the host can compute `v` from what it is made of."""
    node = v.node
    return (
        node is not None
        and node.op.name in _ARITHMETIC
        and all(u.dtype in INTEGERS for u in (v, *node.inputs))
    )


class UnknownIntegerError(Exception):
    """An integer that a shape or a slice depends on is the result of a computation: the plan is cut
    before it (see `compile.cuts`)."""


@dataclass(frozen=True)
class _Scalar:
    """A host integer: its value in this call and the expression that gives it in others."""

    value: int
    text: str
    known: bool  # the same in every call of the plan
    shown: str  # the expression in the user's names, or `text` where that is too long


class HostTrace:
    """Collects the guards and slots of one specialisation.

    values: integer scalars that are function inputs or shared, with this call's values.
    counterparts: variables of the symbolic graph with their counterparts of known shape.
    specialised: adds those of further expressions to the counterparts and returns them.
    """

    def __init__(
        self,
        values: Mapping[Variable, int],
        counterparts: Mapping[Variable, Variable],
        specialised: Callable[[Sequence[Variable]], list[Variable]] = list,
    ) -> None:
        self._values = values
        self._counterparts = counterparts
        self.specialised = specialised
        self._inputs: dict[Variable, str] = {}
        self._traced: dict[Variable, _Scalar] = {}
        self._lines: dict[str, str] = {}  # expressions with the names of their values
        self._guards: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._legend: list[str] = []

    # --- what ops ask (graph.variables.HostValues) ------------------------------------------

    def knows(self, scalar: Variable) -> bool:
        return next(self.unknown(scalar), None) is None

    def unknown(self, scalar: Variable) -> Iterator[Variable]:
        """What the host would have to know to compute `scalar`."""
        stack = [scalar]
        while stack:
            v = stack.pop()
            if v in self._traced or v in self._values or self._constant(v) is not None:
                continue
            if v.node is None or not _is_arithmetic(v):
                yield v
            else:
                stack.extend(v.node.inputs)

    def by_value(self, scalar: Variable) -> int:
        traced = self._trace(scalar)
        self._guard(traced)
        return traced.value

    def slice(
        self, start: Variable | None, stop: Variable | None, step: int, length: int
    ) -> tuple[Offset, int]:
        bounds = [None if b is None else self._trace(b) for b in (start, stop)]
        low, high = (None if b is None else b.value for b in bounds)
        first, last, _ = slice(low, high, step).indices(length)
        count = len(range(first, last, step))
        if all(b is None or b.known for b in bounds):
            return Offset(first), count
        texts = ["None" if b is None else b.text for b in bounds]
        name = self._line(f"slice({texts[0]}, {texts[1]}, {step}).indices({length})")
        length_text = f"len(range(*{name}))"
        self._guard(_Scalar(count, length_text, False, length_text))
        if count == 0:
            return Offset(0), 0
        key = " : ".join("" if b is None else _unparenthesised(b.shown) for b in bounds)
        by = f" : {step}" if step != 1 else ""
        return self._slot(f"{name}[0]", f"start of [{key.strip()}{by}] in {length}"), count

    def index(self, scalar: Variable, length: int) -> Offset:
        traced = self._trace(scalar)
        value = checked_index(traced.value, length)
        if traced.known:
            return Offset(value)
        shown = f"index [{_unparenthesised(traced.shown)}] in {length}"
        return self._slot(f"checked_index({traced.text}, {length})", shown)

    # --- tracing ------------------------------------------------------------------------------

    def _trace(self, scalar: Variable) -> _Scalar:
        """A scalar as an expression of the inputs; each step on the way gets a line of its own, so
        that what is used twice is computed once."""
        stack = [scalar]
        while stack:
            v = stack[-1]
            if v not in self._traced:
                leaf = self._leaf(v)
                if leaf is not None:
                    self._traced[v] = leaf
                else:
                    pending = [x for x in self._arguments(v) if x not in self._traced]
                    if pending:
                        stack.extend(pending)
                        continue
                    self._traced[v] = self._computed(v)
            stack.pop()
        return self._traced[scalar]

    def _arguments(self, v: Variable) -> Sequence[Variable]:
        """What `v` is computed from; UnknownIntegerError where the host can't."""
        if not _is_arithmetic(v):
            raise UnknownIntegerError(f"{v} is not known before a plan computes it")
        assert v.node is not None
        return v.node.inputs

    def _leaf(self, v: Variable) -> _Scalar | None:
        """What is known of `v` without looking at how it is computed."""
        value = self._constant(v)
        if value is not None:
            return _Scalar(value, str(value), True, str(value))
        if v in self._values:
            name = self._inputs.setdefault(v, f"s{len(self._inputs)}")
            return _Scalar(self._values[v], name, False, v.name or f"input {name} of host")
        return None

    def _constant(self, v: Variable) -> int | None:
        """The value of `v` where it is the same in every call of the plan."""
        counterpart = self._counterparts.get(v, v)
        if isinstance(counterpart, Constant) and counterpart.value.size == 1:
            return int(counterpart.value.item())
        return None

    def _computed(self, v: Variable) -> _Scalar:
        """`v` as arithmetic on scalars that are traced."""
        node = v.node
        assert node is not None
        known = [self._traced[x] for x in node.inputs]
        template = _ARITHMETIC[node.op.name]
        is_safe = node.op.name == "cast" and np.can_cast(node.inputs[0].dtype, v.dtype, "safe")
        if node.op.name in _WRAPPING and not is_safe:
            template = f"{v.dtype}({template})"
        try:
            value = int(eval(template.format(*(x.value for x in known)), dict(_SCOPE)))
        except ZeroDivisionError:
            raise ShapeError(f"{v} divides by 0{at(v.source)}") from None
        if all(x.known for x in known):
            return _Scalar(value, str(value), True, str(value))
        shown = template.format(*(x.shown for x in known))
        if template == "{}":
            return _Scalar(value, known[0].text, False, shown)
        text = self._line(template.format(*(x.text for x in known)))
        return _Scalar(value, text, False, shown if len(shown) <= _SHOWN else f"{text} of host")

    def _line(self, expression: str) -> str:
        """The name of the line that computes an expression."""
        return self._lines.setdefault(expression, f"t{len(self._lines)}")

    def _guard(self, traced: _Scalar) -> None:
        if not traced.known:
            self._guards.setdefault(traced.text, traced.value)

    def _slot(self, text: str, shown: str) -> Offset:
        if text not in self._slots:
            self._slots[text] = len(self._slots)
            self._legend.append(shown)
        return Offset(0, self._slots[text])

    def finish(self) -> HostProgram:
        """The function that later calls run."""
        arguments = ", ".join(self._inputs.values())
        guards, slots = (
            "(" + "".join(f"{text}, " for text in texts) + ")"
            for texts in (self._guards, self._slots)
        )
        body = "".join(f"    {name} = {line}\n" for line, name in self._lines.items())
        text = f"def host({arguments}):\n{body}    return {guards}, {slots}\n"
        scope = dict(_SCOPE)
        exec(compile(text, "<host program>", "exec"), scope)
        return HostProgram(
            tuple(self._inputs),
            scope["host"],
            tuple(self._guards.values()),
            len(self._slots),
            text,
            tuple(self._legend),
        )


def is_host_scalar(v: Variable) -> bool:
    """Whether the host reads the value of `v`: an integer scalar, an input or a shared variable."""
    return isinstance(v, Input | SharedVariable) and v.ndim == 0 and v.dtype in INTEGERS
