"""Copies of expressions in which variables are replaced: `clone` and what it is made of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.functions.io import Out
from tinygrad_mnist.functions.updates import (
    Pairs,
    Updates,
    add_default_updates,
    fitting,
    givens_from,
    updates_from,
)
from tinygrad_mnist.graph.clone import Equivalents, clone_leaf, clone_node, variables_of
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import leaves, toposort
from tinygrad_mnist.graph.values import flag, shown
from tinygrad_mnist.graph.variables import Variable


def clone(
    output: Any,
    replace: Pairs = None,
    strict: bool = True,
    share_inputs: bool = True,
    copy_inputs: bool | None = None,
) -> Any:
    """A copy of `output`, a variable or a list of them, in which variables are replaced.

    replace: a dict or pairs of variables and their replacements. All are replaced at once: a
    replacement may contain what is replaced, as in `{x: x + 1}`. strict: False converts
    replacements of another dtype, even where that loses values; GraphTypeError otherwise.
    share_inputs: False copies inputs and constants too, but no shared variables, whose values
    can't be in two. copy_inputs: an old name of `share_inputs`.
    """
    if copy_inputs is not None:
        warnings.warn(
            "clone: copy_inputs is an old name of share_inputs", DeprecationWarning, stacklevel=2
        )
        share_inputs = flag(copy_inputs, "copy_inputs")
    if not (replace is None or isinstance(replace, Mapping | list | tuple)):
        raise ArgumentError(f"replace is a dict or a list of pairs, not {shown(replace)}")
    return _Cloner(replace, strict, share_inputs).form(output)


def clone_replace(
    output: Any,
    replace: Pairs = None,
    strict: bool = True,
    share_inputs: bool = True,
) -> Any:
    """The same as `clone`."""
    return clone(output, replace, strict, share_inputs)


def rebuild_collect_shared(
    outputs: Any,
    inputs: Sequence[Variable] | None = None,
    replace: Pairs = None,
    updates: Pairs = None,
    rebuild_strict: bool = True,
    copy_inputs_over: bool = True,
    no_default_updates: bool | Sequence[SharedVariable] = False,
) -> tuple[list[Variable], Any, list[Any]]:
    """A copy of `outputs` in which variables are replaced, and all shared variables and updates
    that belong to it.

    outputs: a variable or an `Out`, a list of them, or None. replace: as of `clone`. updates: new
    values of shared variables; default updates are added, except those that `no_default_updates`
    refuses. copy_inputs_over: False copies the inputs.

    Returns the inputs, the outputs and a list of: what each variable and node became, the updates
    of the copy as a dict, the updates before they were copied as pairs, and the shared variables.

    Raises GraphTypeError for what is no variable, for a shared variable among the inputs, for a
    variable that is updated twice and for a type that doesn't fit.
    """
    cloner = _Cloner(replace, rebuild_strict, copy_inputs_over)
    given = variables_of(inputs or (), "the inputs")
    for v in given:
        if isinstance(v, SharedVariable):
            raise GraphTypeError(
                f"the shared variable {v} can't be an input; replace it by another variable"
                f"{at(v.source)}"
            )
    new_inputs = [cloner.input(v) for v in given]
    new_outputs = [] if outputs is None else cloner.form(outputs)
    before: Updates = {
        target: fitting(value, target, "the update of")
        for target, value in updates_from(updates).items()
    }
    after: Updates = dict(zip(before, cloner.copies(list(before.values())), strict=True))
    wanted = [out.variable if isinstance(out, Out) else out for out in _as_list(new_outputs)]
    add_default_updates(wanted, after, no_default_updates, lambda v: cloner.copies([v])[0])
    pairs = [(v, before.get(v, v.default_update)) for v in after]
    used = leaves([*wanted, *after.values()])
    found = dict.fromkeys([*(v for v in used if isinstance(v, SharedVariable)), *after])
    return new_inputs, new_outputs, [cloner.equivalents, after, pairs, list(found)]


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


class _Cloner:
    """Copies expressions; what two of them share, their copies share.

    equivalents: what variables and nodes became.
    """

    def __init__(self, replace: Pairs, strict: bool, share_inputs: bool) -> None:
        self._shares = flag(share_inputs, "share_inputs")
        self._leaves: dict[Variable, Variable] = {}
        self.equivalents: Equivalents = {}
        replacements = givens_from(replace, flag(strict, "strict"))
        new = self._copies(list(replacements.values()), {})  # in which nothing is replaced
        self.equivalents.update(zip(replacements, new, strict=True))

    def form(self, output: Any) -> Any:
        """The copy of a variable, an `Out`, or a list of them."""
        if isinstance(output, list | tuple):
            return [self.form(v) for v in output]
        if isinstance(output, Out):
            return Out(self.form(output.variable), borrow=output.borrow)
        if not isinstance(output, Variable):
            raise GraphTypeError(f"outputs are variables, not {shown(output)}")
        return self.copies([output])[0]

    def copies(self, wanted: Sequence[Variable]) -> list[Variable]:
        """The copies of expressions."""
        return self._copies(wanted, self.equivalents)

    def input(self, v: Variable) -> Variable:
        """What an input becomes; if it is an expression and copied, another input."""
        found: Variable = self.equivalents.setdefault(v, self._leaf(v))
        return found

    def _leaf(self, v: Variable) -> Variable:
        if v not in self._leaves:
            self._leaves[v] = v if self._shares else clone_leaf(v)
        return self._leaves[v]

    def _copies(self, wanted: Sequence[Variable], known: Equivalents) -> list[Variable]:
        """Copies of expressions. known: what variables and nodes became; it is filled in."""
        for node in toposort(wanted, up_to=known):
            inputs = [known[v] if v in known else self._leaf(v) for v in node.inputs]
            made = known[node] = clone_node(node, inputs)
            for old, new in zip(node.outputs, made.outputs, strict=True):
                known.setdefault(old, new)
        for v in (*leaves(wanted), *wanted):
            if v not in known:
                known[v] = self._leaf(v)
        return [known[v] for v in wanted]


__all__ = ["clone", "clone_replace", "rebuild_collect_shared"]
