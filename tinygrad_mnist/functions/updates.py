"""Replacements and updates of variables: `givens`, `updates`, default updates, `swap`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GivensError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import leaves, substitute, toposort
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import cast

Pairs = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None
Updates = dict[SharedVariable, Variable]


def pairs_of(pairs: Pairs, what: str) -> list[tuple[Any, Any]]:
    """Pairs given as such or as a dict; GraphTypeError for anything else."""
    if pairs is None:
        return []
    if isinstance(pairs, Mapping):
        return list(pairs.items())
    many = isinstance(pairs, Iterable) and not isinstance(pairs, Variable)
    found = list(pairs) if many else [pairs]
    for pair in found:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise GraphTypeError(f"{what} are a dict or pairs; {pair!r} is not a pair")
    return [(target, value) for target, value in found]


def updates_from(pairs: Pairs) -> Updates:
    """The new values of shared variables, before any replacement. Raises GraphTypeError for targets
    that are not shared variables, or are updated twice."""
    updates: Updates = {}
    for target, value in pairs_of(pairs, "updates"):
        if not isinstance(target, SharedVariable):
            where = at(target.source) if isinstance(target, Variable) else ""
            raise GraphTypeError(f"{target!r} can't be updated; only shared variables can{where}")
        add_update(updates, target, as_variable(value))
    return updates


def add_update(updates: Updates, target: SharedVariable, value: Variable) -> None:
    """Adds an update; ArgumentError where there is one already."""
    if target in updates:
        raise ArgumentError(f"{target} is updated twice{at(target.source)}")
    updates[target] = value


def givens_from(pairs: Pairs, strict: bool) -> dict[Variable, Variable]:
    """The replacements of variables, in their dtypes and with as many dimensions. strict: refuse
    replacements whose conversion would lose values."""
    givens: dict[Variable, Variable] = {}
    for target, value in pairs_of(pairs, "givens"):
        if not isinstance(target, Variable):
            raise GraphTypeError(f"{target!r} among the givens is not a variable")
        if target in givens:
            raise GraphTypeError(f"{target} is given twice{at(target.source)}")
        new = fitting(as_variable(value), target, "the replacement of", not strict)
        if strict:
            _check_pattern(new, target, "the replacement of", of_target=True)
        givens[target] = new
    return givens


def chained(
    givens: Mapping[Variable, Variable], replaced: Mapping[Variable, Variable]
) -> dict[Variable, Variable]:
    """All replacements: `replaced`, then the givens in order. Each replacement sees those before
    it; its own variable is in it what it was.

    Raises GivensError for a variable that `replaced` has, or that an earlier replacement is made
    of: that one would not see its replacement.
    """
    chain = dict(replaced)
    used: set[Variable] = set()
    for target, value in givens.items():
        if target in used:
            raise GivensError(
                f"{target} is given after a replacement that is made of it: give it first"
                f"{at(target.source)}"
            )
        used.add(value)
        for node in toposort([value], up_to=chain):
            used.update(node.inputs)
            used.update(node.outputs)
        (chain[target],) = substitute([value], chain)
    return chain


def fitting(value: Variable, target: Variable, what: str, lossy: bool = False) -> Variable:
    """`value` in the target's type; Python numbers and narrower dtypes are converted, wider ones if
    `lossy`."""
    if isinstance(value, Constant) and value.weak:
        number = cast(value, target.dtype)
        is_kept = number.type.is_float or np.array_equal(number.known_value, value.value)
        if not is_kept and not lossy:
            raise GraphTypeError(
                f"{what} {target} is {value}; {target.dtype} can't hold it{at(target.source)}"
            )
        value = number
    if value.ndim != target.ndim:
        raise GraphTypeError(
            f"{what} {target} has {value.ndim} dimensions; it needs {target.ndim}"
            f"{at(value.source or target.source)}"
        )
    if value.dtype != target.dtype:
        if not lossy and not np.can_cast(value.dtype, target.dtype, "safe"):
            raise GraphTypeError(
                f"{what} {target} is {value.dtype}; it needs {target.dtype}: use "
                f"T.cast(..., {target.dtype!r}){at(value.source or target.source)}"
            )
        value = cast(value, target.dtype)
    return value


def updated_value(value: Variable, target: SharedVariable, what: str) -> Variable:
    """`value` as the new value of a shared variable. Raises GraphTypeError where it broadcasts
    along an axis that the variable doesn't."""
    value = fitting(value, target, what)
    if not isinstance(value, Constant):
        _check_pattern(value, target, what, of_target=False)
    return value


def _check_pattern(value: Variable, target: Variable, what: str, of_target: bool) -> None:
    """Raises GraphTypeError where only one of the two broadcasts along an axis: the target, or else
    the value."""
    for axis, (ours, theirs) in enumerate(
        zip(value.broadcastable, target.broadcastable, strict=True)
    ):
        if ours != theirs and theirs == of_target:
            raise GraphTypeError(
                f"{what} {target} broadcasts along {value.broadcastable}; it needs "
                f"{target.broadcastable}: use T.{'add' if of_target else 'un'}broadcast"
                f"(..., {axis}){at(value.source or target.source)}"
            )


def add_default_updates(
    outputs: Sequence[Variable],
    updates: Updates,
    refused: bool | Sequence[SharedVariable],
    replaced: Callable[[Variable], Variable],
) -> None:
    """Adds the default updates of shared variables in use, and of those that these use.

    refused: True for none, or the variables that get none. replaced: applies the givens.
    """
    if not isinstance(refused, bool | list | tuple | set | frozenset):
        raise GraphTypeError(
            f"no_default_updates is a bool or a list of shared variables, not {refused!r}"
        )
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
            new_value = replaced(as_variable(v.default_update))
            updates[v] = updated_value(new_value, v, "the default update of")


def swaps_from(
    swap: Mapping[SharedVariable, SharedVariable],
    shared: Collection[SharedVariable],
    updated: Iterable[SharedVariable],
) -> dict[Variable, SharedVariable]:
    """The variables of a function that others replace in a copy of it, checked.

    shared: those that the function uses. updated: those among them that it updates. Raises
    GraphTypeError.
    """
    replaced: dict[Variable, SharedVariable] = {}
    if not isinstance(swap, Mapping):
        raise GraphTypeError(f"swap is a dict of shared variables, not {shown(swap)}")
    for old, new in swap.items():
        if old not in shared or not isinstance(new, SharedVariable):
            raise GraphTypeError(
                f"swap replaces shared variables of the function by others; it got {new} for {old}"
            )
        if new.type != old.type:
            raise GraphTypeError(f"{new} is a {new.type}; {old}, which it replaces, {old.type}")
        replaced[old] = new
    targets = [swap.get(v, v) for v in updated]
    if len(set(targets)) != len(targets):
        raise GraphTypeError("with this swap, the function would update one variable twice")
    return replaced
