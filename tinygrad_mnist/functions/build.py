"""`function`: makes a callable of expressions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from tinygrad_mnist.backends import Backend, Guard, backend
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import (
    ArgumentError,
    DuplicateInputError,
    GivensError,
    GraphTypeError,
    MissingInputError,
    UnusedInputError,
)
from tinygrad_mnist.functions.arguments import Parameter, convert
from tinygrad_mnist.functions.callable import Function
from tinygrad_mnist.functions.io import In, check_downcast, outputs_from
from tinygrad_mnist.functions.profiled import ProfiledFunction
from tinygrad_mnist.functions.updates import (
    Pairs,
    Updates,
    add_default_updates,
    add_update,
    chained,
    givens_from,
    updated_value,
    updates_from,
)
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import leaves, mentions, substitute
from tinygrad_mnist.graph.types import tensor_type
from tinygrad_mnist.graph.values import check_name, choice, flag, shown
from tinygrad_mnist.graph.variables import Input, Variable
from tinygrad_mnist.settings import MODES, NAN_GUARD


def function(
    inputs: Sequence[Variable | In],
    outputs: Any = None,
    mode: Any = None,
    updates: Pairs = None,
    givens: Pairs = None,
    no_default_updates: bool | Sequence[SharedVariable] = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: bool | None = None,
    on_unused_input: str | None = None,
) -> Function:
    """A callable that computes `outputs` and then carries out `updates`, all at once.

    inputs: variables or `In`s whose values the caller gives. An expression may be an input: its
    value is then given, not computed.

    outputs: one variable, a list or tuple of them, a dict from strings to variables, or None; each
    may be an `Out`. A call returns an array, a list, a dict, or None.

    updates: new values of shared variables, a dict or pairs. Shared variables with a default
    update, such as the counters of random streams, are updated too; `no_default_updates` turns that
    off, for all or for a list of them.

    givens: a dict or pairs of variables (shared, expressions, and those that are no inputs) and
    their replacements, in order: a replacement sees those before it. rebuild_strict: False casts
    replacements of another dtype, even where that loses values.

    allow_input_downcast: True lets values lose precision when they are converted, False lets no
    float, None Python floats only. on_unused_input: 'raise', 'warn' or 'ignore'; None takes
    `config.on_unused_input`.

    mode: the name of one of Theano's modes or a `Mode`, which all mean the same here; or
    'nan_guard' or a `NanGuardMode`, which stops at the first kernel call that makes a NaN.
    profile: True records the time of every kernel call; `fn.profile` then has them. None takes
    `config.mode` and `config.profile`.
    accept_inplace has no effect: no graph has operations in place.

    Raises GraphTypeError, MissingInputError or UnusedInputError, naming the variable and its line;
    GivensError for givens that replace an input, or what an earlier replacement is made of.
    """
    check_name(name, "the name of a function")
    mode = config.setting("mode") if mode is None else mode
    profile = bool(config.setting("profile")) if profile is None else profile
    _check_options(mode, profile, on_unused_input)
    check_downcast(allow_input_downcast, "allow_input_downcast")
    new_values = updates_from(updates)
    signature = _inputs_from(inputs, name, allow_input_downcast, new_values)
    given = givens_from(givens, rebuild_strict)
    for v in signature.variables:
        if v in given:
            raise GivensError(f"{v} is an input and among the givens{at(v.source)}")
    replacements = chained(given, signature.replaced)
    wanted = outputs_from(outputs)
    written = [*wanted.variables, *new_values.values()]
    expressions = substitute(written, replacements)
    n = len(wanted.variables)
    wanted = wanted.computing(expressions[:n])
    new_values = {
        target: updated_value(value, target, "the update of")
        for target, value in zip(new_values, expressions[n:], strict=True)
    }
    add_default_updates(
        wanted.variables,
        new_values,
        no_default_updates,
        lambda v: substitute([v], replacements)[0],
    )
    on_unused = on_unused_input or config.on_unused_input
    _check_inputs(
        signature.parameters,
        [*wanted.variables, *new_values.values()],
        lambda: _mentioned(written, replacements),
        on_unused,
    )
    kind = ProfiledFunction if profile else Function
    return kind(signature.parameters, wanted, new_values, name, _backend_for(mode))


def _backend_for(mode: Any) -> Backend:
    """The backend of `config.device`, with the guard that a mode may be."""
    if isinstance(mode, str) and mode in NAN_GUARD:
        mode = import_module("tinygrad_mnist.functions.nanguard").NanGuardMode()
    chosen = backend(config.device)
    return mode.guarded(chosen) if isinstance(mode, Guard) else chosen


def _check_options(mode: Any, profile: Any, on_unused: str | None) -> None:
    is_mode = hasattr(mode, "linker") and hasattr(mode, "optimizer")  # an object as Theano's `Mode`
    if not (mode is None or isinstance(mode, str | Guard) or is_mode):
        raise GraphTypeError(
            f"mode is None, a string or a Mode, not {shown(mode)}; it comes third, so give updates "
            "by name"
        )
    if isinstance(mode, str) and mode not in (*MODES, *NAN_GUARD):
        raise ArgumentError(
            f"there is no mode {mode!r}; there are None, {', '.join(map(repr, MODES))}, all the "
            f"same, and {NAN_GUARD[0]!r} (config.device = 'reference' makes functions that run in "
            "plain NumPy)"
        )
    if profile is not None:
        flag(profile, "profile")
    if on_unused is not None:
        choice(on_unused, ("raise", "warn", "ignore"), "on_unused_input")


@dataclass
class _Inputs:
    """The inputs of a function.

    variables: as the user gave them. parameters: as callers see them. replaced: variables that the
    graph replaces: expressions that are inputs, and inputs that keep their value in a shared
    variable.
    """

    variables: list[Variable]
    parameters: list[Parameter]
    replaced: dict[Variable, Variable]


def _inputs_from(
    inputs: Sequence[Variable | In],
    function_name: str | None,
    downcast: bool | None,
    updates: Updates,
) -> _Inputs:
    """The inputs that a user gave, checked; their updates are added to `updates`."""
    if not isinstance(inputs, list | tuple):
        raise GraphTypeError(f"the inputs of a function are a list, not {shown(inputs)}")
    given = [i if isinstance(i, In) else In(i) for i in inputs]
    variables = [i.variable for i in given]
    for number, v in enumerate(variables):
        if v in variables[:number]:
            raise DuplicateInputError(f"{v} is twice among the inputs{at(v.source)}")
    found = _Inputs(variables, [], {})
    for number, i in enumerate(given):
        where = f" of {function_name}" if function_name else ""
        name = i.name or (i.variable.name if i.autoname else None)
        label = f"input {number} ({name}){where}" if name else f"input {number}{where}"
        parameter = _parameter(i, name, label, downcast)
        found.parameters.append(parameter)
        replacement = parameter.variable if parameter.state is None else parameter.state
        if replacement is not i.variable:
            found.replaced[i.variable] = replacement
        if i.update is not None:
            assert parameter.state is not None
            add_update(updates, parameter.state, as_variable(i.update))
    return found


def _parameter(i: In, name: str | None, label: str, downcast: bool | None) -> Parameter:
    """An input as callers see it; see `In`."""
    variable = i.variable
    if not isinstance(variable, Input):  # an expression, which is then not computed
        variable = Input(tensor_type(variable.dtype, variable.broadcastable), variable.name)
    plain = Parameter(
        variable,
        name,
        label,
        strict=i.strict,
        allow_downcast=downcast if i.allow_downcast is None else i.allow_downcast,
        implicit=bool(i.implicit),
    )
    if i.value is None:
        return plain
    if isinstance(i.value, SharedVariable):
        if (i.value.dtype, i.value.ndim) != (variable.dtype, variable.ndim):
            raise GraphTypeError(
                f"{label} is a {variable.type}; its value {i.value} is a {i.value.type}"
                f"{at(variable.source)}"
            )
        return replace(plain, state=i.value, implicit=i.implicit is not False)
    value = convert(i.value, plain).copy()
    if i.update is None:
        return replace(plain, default=value)
    type = tensor_type(variable.dtype, variable.broadcastable)
    return replace(plain, state=SharedVariable(value, type, name), is_private=True)


def _mentioned(
    expressions: Sequence[Variable], replacements: Mapping[Variable, Variable]
) -> set[Variable]:
    """The variables that are mentioned in expressions, or in what replaces a mentioned one."""
    found = mentions(expressions)
    new = [replacements[v] for v in found if v in replacements]
    return {*found, *new, *leaves(new), *mentions(new)}


def _check_inputs(
    parameters: Sequence[Parameter],
    expressions: Sequence[Variable],
    mentioned: Callable[[], Collection[Variable]],
    on_unused: str,
) -> None:
    """Raises an error for inputs that are unused or missing. Those that keep a value, or are
    mentioned in an expression whose value doesn't depend on them, are not unused."""
    used: list[Variable] = [v for v in leaves(expressions) if isinstance(v, Input)]
    unused = [p.variable for p in parameters if p.state is None and p.variable not in used]
    if unused and on_unused != "ignore":
        known = mentioned()
        for v in unused:
            if v in known:
                continue
            message = f"no output or update depends on the input {v}{at(v.source)}"
            if on_unused == "raise":
                raise UnusedInputError(message + "\n  (on_unused_input='ignore' allows it)")
            warnings.warn(message, stacklevel=3)
    inputs = [p.variable for p in parameters]
    for v in used:
        if v not in inputs:
            raise MissingInputError(
                f"the expressions depend on {v}, which is neither an input nor given{at(v.source)}"
            )


@api_function
def eval_(variable: Variable, inputs_to_values: Mapping[Variable, Any] | None = None) -> Any:
    """The value of `variable`, given values of the inputs that it depends on."""
    if not (inputs_to_values is None or isinstance(inputs_to_values, Mapping)):
        raise GraphTypeError(
            f"eval takes a dict from inputs to their values, not {shown(inputs_to_values)}"
        )
    values = dict(inputs_to_values or {})
    return function(list(values), variable)(*values.values())
