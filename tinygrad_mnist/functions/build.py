"""`function`: expressions become something that can be called with values."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.errors import GraphTypeError, MissingInputError, UnusedInputError
from tinygrad_mnist.functions.callable import Function
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import word
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import leaves, substitute
from tinygrad_mnist.graph.variables import Constant, Input, SharedVariable, Variable
from tinygrad_mnist.ops.elementwise import cast

Pairs = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None


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
    if not isinstance(inputs, list | tuple):
        raise GraphTypeError(f"the inputs of a function are a list; {inputs!r} is none")
    from_user: list[Variable] = list(inputs)
    for given in from_user:
        if not isinstance(given, Input):
            raise GraphTypeError(
                f"{given!r} can't be an input of a function; T.matrix() and such can"
            )
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
