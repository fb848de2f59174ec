"""Gradients by reverse-mode differentiation: `grad` adds nodes that compute them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, overload

from tinygrad_mnist.autodiff.pull_back import connected, stable_gradients
from tinygrad_mnist.autodiff.undefined import DisconnectedType, NullType
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import DisconnectedInputError, GraphTypeError, NullTypeGradError
from tinygrad_mnist.graph.collection import collection_paused
from tinygrad_mnist.graph.op import OPS, as_variable, constant
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.values import choice, flag, several, shown
from tinygrad_mnist.graph.variables import Constant, Variable, described
from tinygrad_mnist.ops.elementwise import cast, stop_gradient
from tinygrad_mnist.ops.lazy import is_lazy, lazy_gradient
from tinygrad_mnist.ops.shape import broadcast_like, dimshuffle

R = TypeVar("R")
# Variables to differentiate with respect to, and results in the same form.
Variables = Variable | Sequence[Variable]


@overload
def grad(cost: Variable | None, wrt: Variable, *args: Any, **options: Any) -> Variable: ...


@overload
def grad(
    cost: Variable | None, wrt: tuple[Variable, ...], *args: Any, **options: Any
) -> tuple[Variable, ...]: ...


@overload
def grad(
    cost: Variable | None, wrt: Sequence[Variable], *args: Any, **options: Any
) -> list[Variable]: ...


def grad(
    cost: Variable | None,
    wrt: Variables,
    consider_constant: Collection[Variable] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Mapping[Variable, Any] | None = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """The gradient of a scalar `cost` with respect to one variable or each of a list or tuple, in
    the form of `wrt`.

    consider_constant: variables through which no gradient passes; they have gradients themselves.
    disconnected_inputs: what to do if the values of a variable have no say in `cost`: 'raise' a
    DisconnectedInputError, 'warn', or 'ignore'. return_disconnected: what its gradient is then:
    'zero'; 'none', which is None; or 'disconnected', a variable of `DisconnectedType`.
    add_names: names the gradient of a variable `(d<cost>/d<variable>)` if both have names.
    known_grads: variables with their gradients, which are taken as they are, and pulled back to
    what the variables depend on; then `cost` may be None. null_gradients: what to do with undefined
    gradients: 'raise' a NullTypeGradError, or 'return' a variable of `NullType`.

    Each gradient has the shape of its variable and its dtype, or a float dtype if that is an
    integer. An integer variable counts as a float for what reads it; the gradient through an
    integer result is zero, and so is that through a comparison, a rounding or the condition of a
    `switch`. At a kink every winner of a maximum gets the whole gradient: see `maximum`, `max` and
    `max_pool`. Raises GraphTypeError where `cost` is not a scalar.
    """
    variables = as_list(wrt, "wrt")
    stop = _constants(consider_constant)
    how = choice(disconnected_inputs, ("raise", "warn", "ignore"), "disconnected_inputs")
    wanted = return_disconnected
    absent = choice(
        wanted.lower() if isinstance(wanted, str) else wanted, _ABSENT, "return_disconnected"
    )
    undefined = choice(null_gradients, ("raise", "return"), "null_gradients")
    is_named = flag(add_names, "add_names")
    seeds = _seeds(cost, {} if known_grads is None else known_grads)
    cut = {v for v, g in seeds.items() if isinstance(g.type, DisconnectedType)}
    seeds = {v: g for v, g in seeds.items() if v not in cut}
    stop |= cut
    with collection_paused():
        if any(map(is_lazy, seeds)):
            linked = connected(seeds, stop)
            waiting = lazy_gradient(_weighted(seeds), variables, stop)
            found = [g if v in linked else None for v, g in zip(variables, waiting, strict=True)]
        else:
            found = stable_gradients(seeds, variables, stop)
            linked = connected(seeds, stop) if None in found else set()
        gradients: list[Variable | None] = []
        for v, g in zip(variables, found, strict=True):
            if v in cut or (g is None and v not in linked):
                report_disconnected(cost, v, how)
                gradients.append(_ABSENT[absent](v))
                continue
            g = zero_gradient(v) if g is None else g
            gradients.append(defined(g, v) if undefined == "raise" else g)
    if is_named and cost is not None and cost.name is not None:
        _add_names(cost.name, variables, gradients, set(seeds.values()))
    return in_form(wrt, gradients)


# --- arguments ------------------------------------------------------------------------------------


def as_list(given: Any, what: str) -> list[Variable]:
    """One variable or several, as a list. Raises GraphTypeError."""
    variables = [given] if isinstance(given, Variable) else list(several(given, what, "variables"))
    for v in variables:
        _check_variable(v)
    return variables


def in_form(given: Any, results: Sequence[R]) -> R | list[R] | tuple[R, ...]:
    """Results in the form in which the variables were given: one, a tuple or a list."""
    if isinstance(given, Variable):
        return results[0]
    return tuple(results) if isinstance(given, tuple) else list(results)


def _check_variable(value: Any) -> None:
    if not isinstance(value, Variable):
        kind = type(value).__name__
        raise GraphTypeError(f"grad takes symbolic variables, not a {kind}: {value!r}")


def _constants(given: Collection[Variable] | None) -> set[Variable]:
    if given is None:
        return set()
    is_set = isinstance(given, set | frozenset)
    variables = given if is_set else several(given, "consider_constant", "variables")
    for v in variables:
        if not isinstance(v, Variable):
            raise GraphTypeError(f"{described(v)}; consider_constant has symbolic variables")
    return set(variables)


def _seeds(cost: Variable | None, known: Mapping[Variable, Any]) -> dict[Variable, Variable]:
    """The gradients from which all others follow: that of the cost is 1 unless it is known."""
    if not isinstance(known, Mapping):
        raise GraphTypeError(f"known_grads is {shown(known)}; it maps variables to their gradients")
    seeds: dict[Variable, Variable] = {}
    if cost is not None:
        _check_variable(cost)
        if cost.ndim != 0:
            raise GraphTypeError(f"the cost must be a scalar, not {cost.type}{at(cost.source)}")
        seeds[cost] = one = constant(1, _float_dtype(cost))
        one.mentions = (cost,)  # as Theano's ones_like(cost)
    elif not known:
        raise GraphTypeError("grad needs a cost, or known_grads")
    for v, g in known.items():
        _check_variable(v)
        seeds[v] = _known_gradient(v, g)
    return seeds


def _weighted(seeds: Mapping[Variable, Variable]) -> Variable:
    """A scalar whose gradients are those that follow from `seeds`."""
    products = [
        OPS["sum"](v * stop_gradient(g), axes=tuple(range(v.ndim))) for v, g in seeds.items()
    ]
    scalars = [dimshuffle(p) for p in products]
    total = scalars[0]
    for other in scalars[1:]:
        total = total + other
    return total


def _known_gradient(v: Variable, given: Any) -> Variable:
    """A gradient that a user gives, in the type that the gradient of `v` has."""
    g = as_variable(given)
    if isinstance(g.type, NullType | DisconnectedType):
        return g
    is_number = isinstance(g, Constant) and g.weak
    if not (g.type.is_float or is_number) or (g.ndim != v.ndim and not is_number):
        raise GraphTypeError(
            f"the known gradient of {v}, which is {v.type}, is {g.type}; it must be a float with "
            f"as many dimensions{at(g.source or v.source)}"
        )
    g = cast(g, _float_dtype(v, g))
    return g if g.broadcastable == v.broadcastable else broadcast_like(g, v)


def _float_dtype(v: Variable, given: Variable | None = None) -> str:
    """The dtype of the gradient of `v`: its own, or for an integer that of `given` or floatX."""
    if v.type.is_float:
        return v.dtype
    return given.dtype if given is not None and given.type.is_float else config.floatX


# --- results --------------------------------------------------------------------------------------


def zero_gradient(v: Variable) -> Variable:
    """Zeros in the shape of `v`, in the dtype that its gradient has."""
    return broadcast_like(constant(0, _float_dtype(v)), v)


def defined(g: Variable, v: Variable) -> Variable:
    """`g`, the gradient of `v`; NullTypeGradError where it is undefined."""
    if isinstance(g.type, NullType):
        raise NullTypeGradError(f"the gradient of {v}: {g.type.why_null}{at(v.source)}")
    return g


_ABSENT: dict[str, Callable[[Variable], Variable | None]] = {
    "zero": zero_gradient,
    "none": lambda v: None,
    "disconnected": lambda v: DisconnectedType()(),
}


def report_disconnected(cost: Variable | None, v: Variable, how: str) -> None:
    """Raises or warns that `v` has no say in the cost, or in what known_grads has."""
    what = "the cost" if cost is not None else "what has a known gradient"
    where = v.source or (None if cost is None else cost.source)
    message = (
        f"{what} does not depend on {v} through differentiable operations; pass "
        f"disconnected_inputs='ignore' if its gradient is to be zeros{at(where)}"
    )
    if how == "raise":
        raise DisconnectedInputError(message)
    if how == "warn":
        warnings.warn(message, stacklevel=3)


def _add_names(
    cost: str,
    variables: Sequence[Variable],
    gradients: Sequence[Variable | None],
    given: set[Variable],
) -> None:
    """Names gradients as Theano does, but none that the user gave."""
    for v, g in zip(variables, gradients, strict=True):
        if g is not None and v.name is not None and g.name is None and g not in given:
            g.name = f"(d{cost}/d{v.name})"
