"""`function`: expressions become something that can be called with values."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_mnist.arguments import convert, host_integer
from tinygrad_mnist.backends import Program, backend
from tinygrad_mnist.backends.base import bound_buffers
from tinygrad_mnist.compile.host import host_scalars
from tinygrad_mnist.compile.pipeline import Compiled, compile_plan
from tinygrad_mnist.compile.plan import OUTPUT, SHARED, Plan
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.base import Array
from tinygrad_mnist.errors import (
    GraphTypeError,
    MissingInputError,
    UnusedInputError,
)
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import word
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import leaves, substitute
from tinygrad_mnist.graph.variables import Constant, Input, SharedVariable, Variable
from tinygrad_mnist.ops.elementwise import cast

Pairs = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None
Key = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _Entry:
    """A plan in the cache: for which shapes, and how its buffers are bound."""

    key: Key
    compiled: Compiled
    program: Program
    # Per bound buffer: the input's number, or the shared variable, or the output's spec.
    bindings: tuple[int | SharedVariable | tuple[int, tuple[int, ...], str], ...]


class Function:
    """What `function` returns. Call it with values of the inputs, in order or by name.

    plan: the plan of the last call. plans: all that are kept, the last used first.
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        updates: Mapping[SharedVariable, Variable],
        single: bool,
        name: str | None,
        allow_input_downcast: bool | None,
    ) -> None:
        self.name = name
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._updates = dict(updates)
        self._single = single
        self._downcast = allow_input_downcast
        self._backend = backend(config.device)
        self._lock = threading.RLock()
        self._entries: list[_Entry] = []
        used = leaves([*outputs, *updates.values()])
        shared = [v for v in used if isinstance(v, SharedVariable)]
        self._shared = tuple(dict.fromkeys([*shared, *updates]))
        self._scalars = host_scalars([*self._inputs, *self._shared])
        self._labels = tuple(self._label(i, v) for i, v in enumerate(self._inputs))

    def _label(self, number: int, v: Variable) -> str:
        where = f" of {self.name}" if self.name else ""
        return f"input {number} ({v.name}){where}" if v.name else f"input {number}{where}"

    @property
    def plans(self) -> list[Plan]:
        """The plans that are kept, the last used first."""
        return [entry.compiled.plan for entry in self._entries]

    @property
    def plan(self) -> Plan:
        """The plan of the last call; a function has none before its first."""
        if not self._entries:
            raise ValueError("a function has no plan before its first call, which tells the shapes")
        return self._entries[0].compiled.plan

    @property
    def expressions(self) -> list[Variable]:
        """What it computes: its outputs, then the new values of the variables that it updates."""
        return [*self._outputs, *self._updates.values()]

    @property
    def device(self) -> str:
        """The backend that runs it, `config.device` of the moment when it was made."""
        return self._backend.name

    def __repr__(self) -> str:
        names = ", ".join(v.name or str(v.type) for v in self._inputs)
        return f"<function {self.name or ''}({names}) on {self._backend.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for these values: a list, one array for a single output, None for none.

        Arrays are fresh. Raises GraphTypeError or ShapeError for values that do not fit, and
        IndexOutOfRangeError for indices out of range; shared variables are then as before.
        """
        values = (
            self._positional(args, kwargs) if kwargs or len(args) != len(self._inputs) else args
        )
        arrays: list[Array] = []
        integers: dict[Variable, int] = {}
        for value, v, label in zip(values, self._inputs, self._labels, strict=True):
            integer = host_integer(value, v, label)
            if integer is not None:
                integers[v] = integer
                arrays.append(np.asarray(integer, dtype=v.dtype))
            else:
                arrays.append(convert(value, v, label, self._downcast))
                if v in self._scalars:
                    integers[v] = int(arrays[-1])
        with self._lock:
            return self._run(arrays, integers)

    def _positional(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Arguments in the order of the inputs; GraphTypeError for missing or unknown ones."""
        label = self.name or "the function"
        if len(args) > len(self._inputs):
            raise GraphTypeError(f"{label} takes {len(self._inputs)} values, not {len(args)}")
        names = [v.name for v in self._inputs]
        unknown = [k for k in kwargs if k not in names[len(args) :]]
        if unknown:
            raise GraphTypeError(f"{label} has no input {unknown[0]!r} left to set")
        missing = [
            text
            for text, name in zip(self._labels[len(args) :], names[len(args) :], strict=True)
            if name not in kwargs
        ]
        if missing:
            raise GraphTypeError(f"{label} needs a value for {', '.join(missing)}")
        return [*args, *(kwargs[str(n)] for n in names[len(args) :])]

    def _run(self, arrays: list[Array], integers: dict[Variable, int]) -> Any:
        for v in self._scalars:
            if isinstance(v, SharedVariable):
                integers[v] = int(v.storage)
        key = (*(a.shape for a in arrays), *(s.storage.shape for s in self._shared))
        entry, slots = self._find(key, arrays, integers)
        bound: list[Array] = []
        results: dict[int, Array] = {}
        for binding in entry.bindings:
            if isinstance(binding, int):
                bound.append(arrays[binding])
            elif isinstance(binding, SharedVariable):
                bound.append(binding.storage)
            else:
                number, shape, dtype = binding
                results[number] = np.empty(shape, dtype)
                bound.append(results[number])
        entry.program.run(bound, slots)
        plan = entry.compiled.plan
        for shared, number in entry.compiled.resized:
            shared.set_value(results[plan.outputs[number]])
        ordered = [results[plan.outputs[i]] for i in range(len(self._outputs))]
        if not self._outputs:
            return None if self._single else []
        return ordered[0] if self._single else ordered

    def _find(
        self, key: Key, arrays: Sequence[Array], integers: Mapping[Variable, int]
    ) -> tuple[_Entry, tuple[int, ...]]:
        """The plan for this call and its slots; a new plan where none fits."""
        for position, entry in enumerate(self._entries):
            if entry.key != key:
                continue
            host = entry.compiled.plan.host
            guards, slots = host.function(*[integers[v] for v in host.inputs])
            if guards == host.guards:
                if position:
                    self._entries.insert(0, self._entries.pop(position))
                return entry, slots
        entry = self._compile(key, integers)
        self._entries.insert(0, entry)
        del self._entries[config.plan_cache_size :]
        host = entry.compiled.plan.host
        return entry, host.function(*[integers[v] for v in host.inputs])[1]

    def _compile(self, key: Key, integers: Mapping[Variable, int]) -> _Entry:
        leaf_shapes = dict(zip((*self._inputs, *self._shared), key, strict=True))
        compiled = compile_plan(
            self._outputs,
            self._updates,
            leaf_shapes,
            integers,
            self._backend.name,
            self._backend.kernels,
            self._backend.fuses,
        )
        plan = compiled.plan
        bindings: list[int | SharedVariable | tuple[int, tuple[int, ...], str]] = []
        for number in bound_buffers(plan):
            buffer = plan.buffers[number]
            if buffer.kind == OUTPUT:
                bindings.append((number, buffer.shape, buffer.dtype))
            elif buffer.kind == SHARED:
                assert isinstance(buffer.leaf, SharedVariable)
                bindings.append(buffer.leaf)
            else:
                assert buffer.leaf is not None
                bindings.append(self._inputs.index(buffer.leaf))
        return _Entry(key, compiled, self._backend.program(plan), tuple(bindings))


def function(
    inputs: Sequence[Variable],
    outputs: Any = None,
    updates: Pairs = None,
    givens: Pairs = None,
    name: str | None = None,
    no_default_updates: bool | Sequence[SharedVariable] = False,
    on_unused_input: str = "raise",
    allow_input_downcast: bool | None = None,
) -> Function:
    """A callable that computes `outputs` and then carries out `updates`, all at once.

    inputs: variables to get values for. outputs: one variable, a list, or None. updates: pairs
    (shared variable, new value). givens: pairs (variable, what to put in its place). Shared
    variables with a default update, such as the counters of random streams, are updated too,
    unless `no_default_updates` says otherwise. on_unused_input: 'raise', 'warn' or 'ignore'.
    allow_input_downcast: True lets values lose precision, None only Python floats.

    Raises GraphTypeError, MissingInputError or UnusedInputError, naming the variable and its line.
    """
    from_user: list[Variable] = list(inputs)
    for given in from_user:
        if not isinstance(given, Input):
            raise GraphTypeError(f"{given!r} can't be an input of a function; T.matrix() and such can")
    if len(set(from_user)) != len(from_user):
        raise GraphTypeError("a variable stands twice among the inputs")
    single = not isinstance(outputs, list | tuple)
    wanted = [] if outputs is None else [as_variable(v) for v in ([outputs] if single else outputs)]
    new_values = _checked_updates(updates)
    replacements = _checked_givens(givens)
    expressions = substitute([*wanted, *new_values.values()], replacements)
    wanted = expressions[: len(wanted)]
    new_values = dict(zip(new_values, expressions[len(wanted) :], strict=True))
    _add_default_updates(wanted, new_values, no_default_updates)
    _check_inputs(from_user, [*wanted, *new_values.values()], on_unused_input)
    return Function(from_user, wanted, new_values, single, name, allow_input_downcast)


def _pairs(pairs: Pairs) -> list[tuple[Any, Any]]:
    if pairs is None:
        return []
    return list(pairs.items()) if isinstance(pairs, Mapping) else [(a, b) for a, b in pairs]


def _checked_updates(pairs: Pairs) -> dict[SharedVariable, Variable]:
    updates: dict[SharedVariable, Variable] = {}
    for target, value in _pairs(pairs):
        if not isinstance(target, SharedVariable):
            raise GraphTypeError(f"{target!r} can't be updated; only shared variables can")
        if target in updates:
            raise GraphTypeError(f"{target} is updated twice{at(target.source)}")
        updates[target] = _fitting(as_variable(value), target, "the update of")
    return updates


def _checked_givens(pairs: Pairs) -> dict[Variable, Variable]:
    givens: dict[Variable, Variable] = {}
    for target, value in _pairs(pairs):
        if not isinstance(target, Variable):
            raise GraphTypeError(f"{target!r} among the givens is no variable")
        givens[target] = _fitting(as_variable(value), target, "what is given for")
    return givens


def _fitting(value: Variable, target: Variable, what: str) -> Variable:
    """`value` if its type is the target's; Python numbers and narrower dtypes are converted."""
    if isinstance(value, Constant) and value.weak:
        value = cast(value, target.dtype)
    if value.ndim != target.ndim:
        raise GraphTypeError(
            f"{what} {target} has {value.ndim} dimensions; it needs {target.ndim}"
            f"{at(value.source or target.source)}"
        )
    if value.dtype != target.dtype:
        if not np.can_cast(value.dtype, target.dtype, "safe"):
            raise GraphTypeError(
                f"{what} {target} is {value.dtype}; it needs {target.dtype}: use "
                f"T.cast(..., {target.dtype!r}){at(value.source or target.source)}"
            )
        value = cast(value, target.dtype)
    return value


def _add_default_updates(
    outputs: Sequence[Variable],
    updates: dict[SharedVariable, Variable],
    refused: bool | Sequence[SharedVariable],
) -> None:
    """Adds the default updates of shared variables in use, and of those that these use."""
    if refused is True:
        return
    skip = set(refused or ())
    while True:
        used = leaves([*outputs, *updates.values()])
        fresh = [
            v
            for v in used
            if isinstance(v, SharedVariable)
            and v.default_update is not None
            and v not in updates
            and v not in skip
        ]
        if not fresh:
            return
        for v in fresh:
            assert v.default_update is not None
            updates[v] = _fitting(v.default_update, v, "the default update of")


def _check_inputs(
    inputs: Sequence[Variable], expressions: Sequence[Variable], on_unused: str
) -> None:
    used: list[Variable] = [v for v in leaves(expressions) if isinstance(v, Input)]
    for v in used:
        if v not in inputs:
            raise MissingInputError(
                f"the expressions depend on {v}, which is neither an input nor given{at(v.source)}"
            )
    if on_unused not in ("raise", "warn", "ignore"):
        raise GraphTypeError(f"on_unused_input is {on_unused!r}")
    for v in inputs:
        if v not in used and on_unused != "ignore":
            message = f"no output or update depends on the input {v}{at(v.source)}"
            if on_unused == "raise":
                raise UnusedInputError(message + "\n  (on_unused_input='ignore' allows it)")
            warnings.warn(message, stacklevel=3)


@word
def eval_(variable: Variable, inputs_to_values: Mapping[Variable, Any] | None = None) -> Any:
    """The value of `variable`, given values of the inputs that it depends on."""
    values = dict(inputs_to_values or {})
    return function(list(values), variable)(*values.values())
