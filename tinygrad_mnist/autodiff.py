"""Symbolic reverse-mode differentiation: `grad` adds nodes that compute the gradient."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import overload

from tinygrad_mnist.errors import DisconnectedInputError, GraphTypeError
from tinygrad_mnist.graph.collection import collection_paused
from tinygrad_mnist.graph.op import constant
from tinygrad_mnist.graph.source import at, gradients_of, on_behalf_of
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.values import choice, several
from tinygrad_mnist.graph.variables import Node, Variable, described
from tinygrad_mnist.ops.elementwise import add, identity
from tinygrad_mnist.ops.lazy import is_lazy, lazy_gradient
from tinygrad_mnist.ops.shape import broadcast_like
from tinygrad_mnist.stability import stabilise
from tinygrad_mnist.stability.masks import Masks


@overload
def grad(
    cost: Variable,
    wrt: Variable,
    consider_constant: Collection[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Variable: ...


@overload
def grad(
    cost: Variable,
    wrt: Sequence[Variable],
    consider_constant: Collection[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> list[Variable]: ...


def grad(
    cost: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Collection[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Variable | list[Variable]:
    """The gradient of a scalar `cost` with respect to one variable or each of several.

    consider_constant: variables through which no gradient passes. disconnected_inputs: what to do
    if `cost` does not depend on a variable differentiably: 'raise' a DisconnectedInputError,
    'warn', or 'ignore'; with the last two its gradient is zeros.

    Each gradient has the dtype and shape of its variable. At a kink every winner of a maximum gets
    the whole gradient: see `maximum`, `max` and `max_pool`. Raises GraphTypeError where `cost` is
    not a float scalar or a variable holds integers.
    """
    variables = [wrt] if isinstance(wrt, Variable) else several(wrt, "wrt", "variables")
    for given in (cost, *variables):
        if not isinstance(given, Variable):
            kind = type(given).__name__
            raise GraphTypeError(f"grad takes symbolic variables, not a {kind}: {given!r}")
    if cost.ndim != 0 or not cost.type.is_float:
        raise GraphTypeError(f"the cost must be a float scalar, not {cost.type}{at(cost.source)}")
    for v in variables:
        if not v.type.is_float:
            raise GraphTypeError(f"{v} is {v.type}: no gradient with respect to integers")
    how = choice(disconnected_inputs, ("raise", "warn", "ignore"), "disconnected_inputs")
    stop = _constants(consider_constant)
    if is_lazy(cost):
        return _lazy_gradients(cost, wrt, variables, stop, how)
    with collection_paused():
        stable, aliases = _stable_graph(cost, variables, stop)
        gradients = _pull_back(stable, [aliases.get(v, v) for v in variables], stop)
        # What the cost as it is written depends on may have cancelled in its stable form.
        missing = [v for v in variables if aliases.get(v, v) not in gradients]
        written = _pull_back(cost, missing, stop) if missing else {}
    results = []
    for v in variables:
        key = aliases.get(v, v)
        if key not in gradients and v not in written:
            _report_disconnected(cost, v, how)
        results.append(gradients[key] if key in gradients else _zeros_like(v))
    return results[0] if isinstance(wrt, Variable) else results


def _lazy_gradients(
    cost: Variable,
    wrt: Variable | Sequence[Variable],
    variables: Sequence[Variable],
    stop: set[Variable],
    how: str,
) -> Variable | list[Variable]:
    """The gradients of a cost that depends on an `ifelse`: taken when a function runs and the
    condition is known."""
    order = toposort([cost])
    for v in variables:
        reached = {v} - stop
        for node in order:
            passes = node.op.is_differentiable or node.op.lazy
            if passes and any(u in reached and u.type.is_float for u in node.inputs):
                reached.update(u for u in node.outputs if u not in stop)
        if cost not in reached:
            _report_disconnected(cost, v, how)
    gradients = lazy_gradient(cost, variables, stop)
    return gradients[0] if isinstance(wrt, Variable) else gradients


def _constants(given: Collection[Variable] | None) -> set[Variable]:
    if given is None:
        return set()
    is_set = isinstance(given, set | frozenset)
    variables = given if is_set else several(given, "consider_constant", "variables")
    for v in variables:
        if not isinstance(v, Variable):
            raise GraphTypeError(f"{described(v)}; consider_constant has symbolic variables")
    return set(variables)


def _stable_graph(
    cost: Variable, wrt: Sequence[Variable], stop: set[Variable]
) -> tuple[Variable, dict[Variable, Variable]]:
    """The stable form of `cost`, in which all of `wrt` and `stop` are still variables.

    A variable that others of `wrt` lead to has an expression of its own to make stable; the second
    result maps it to its stand-in.
    """
    leaves = {*wrt, *stop}
    aliases: dict[Variable, Variable] = {}
    for node in toposort(wrt):
        for v in node.outputs:
            if v in leaves and v not in stop and _depends_on(v, leaves):
                (renamed,) = substitute([v], aliases)
                others = {*leaves, *aliases.values()} - {v}
                aliases[v] = identity(*stabilise([renamed], others))
    (renamed,) = substitute([cost], aliases)
    (stable,) = stabilise([renamed], {*leaves, *aliases.values()})
    return stable, aliases


def _depends_on(v: Variable, leaves: set[Variable]) -> bool:
    return any(u in leaves for node in toposort([v]) for u in node.inputs)


def _pull_back(
    cost: Variable, wrt: Sequence[Variable], stop: set[Variable]
) -> dict[Variable, Variable]:
    """Gradients of all variables between `cost` and `wrt`."""
    order = toposort([cost])
    reached = set(wrt) - stop
    for node in order:
        if any(v in reached for v in node.inputs):
            reached.update(v for v in node.outputs if v not in stop)
    gradients: dict[Variable, Variable] = {}
    if cost in reached:
        gradients[cost] = constant(1, cost.dtype)
    masks = Masks()
    for node in reversed(order):
        of_results = [gradients.get(v) for v in node.outputs]
        with on_behalf_of(gradients_of(node.origins)):
            of_inputs = node.op.pull_back(node, of_results, masks.visit(node))
            for v, g in zip(node.inputs, of_inputs, strict=True):
                if g is None or v not in reached:
                    continue
                _check(node, v, g)
                gradients[v] = add(gradients[v], g) if v in gradients else g
    return gradients


def _check(node: Node, v: Variable, g: Variable) -> None:
    """The gradient of an input must have the input's dtype and rank."""
    if g.dtype != v.dtype or g.ndim != v.ndim:
        raise GraphTypeError(f"the vjp of {node.op.name} gives {g.type} for an input of {v.type}")


def _report_disconnected(cost: Variable, v: Variable, how: str) -> None:
    message = (
        f"the cost does not depend on {v} through differentiable operations; pass "
        f"disconnected_inputs='ignore' if its gradient is to be zeros{at(v.source or cost.source)}"
    )
    if how == "raise":
        raise DisconnectedInputError(message)
    if how == "warn":
        warnings.warn(message, stacklevel=3)


def _zeros_like(v: Variable) -> Variable:
    return broadcast_like(constant(0, v.dtype), v)
