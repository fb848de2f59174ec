"""Products of vectors with a Jacobian, from the left (`Lop`) and from the right (`Rop`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tinygrad_mnist.autodiff.pull_back import stable_gradients
from tinygrad_mnist.autodiff.reverse import (
    Variables,
    as_list,
    defined,
    grad,
    in_form,
    zero_gradient,
)
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.collection import collection_paused
from tinygrad_mnist.graph.traversal import substitute
from tinygrad_mnist.graph.values import several
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import identity


def Lop(  # noqa: N802
    f: Variables,
    wrt: Variables,
    eval_points: Any,
    consider_constant: Collection[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """eval_points times the Jacobian of `f` by `wrt`: the gradient of sum(f * eval_points).

    eval_points: a float variable or array in the shape of `f`, or one for each variable of `f`.
    The result has the form of `wrt`. The other arguments are those of `grad`.
    """
    functions = as_list(f, "f")
    points = _points(eval_points, f, len(functions))
    # New variables, since one of `f` may lead to another.
    known = {identity(v): point for v, point in zip(functions, points, strict=True)}
    return grad(None, wrt, consider_constant, disconnected_inputs, known_grads=known)


def Rop(f: Variables, wrt: Variables, eval_points: Any) -> Any:  # noqa: N802
    """The Jacobian of `f` by `wrt` times eval_points: the derivative of `f` where `wrt` moves in
    the direction eval_points.

    eval_points: a float variable or array in the shape of `wrt`, or one for each variable of `wrt`.
    The result has the form of `f`; what does not depend on `wrt` has zeros.

    The product u J is linear in u. So its gradient with respect to u, pulled back from
    eval_points, is J times eval_points, whatever u is.
    """
    functions, variables = as_list(f, "f"), as_list(wrt, "wrt")
    points = _points(eval_points, wrt, len(variables))
    floats = [v for v in dict.fromkeys(functions) if v.type.is_float]
    left = [Variable(v.type) for v in floats]
    with collection_paused():
        seeds = {identity(v): u for v, u in zip(floats, left, strict=True)}
        # A mask asks whether the gradient is 0, which is not linear in u.
        pulled = stable_gradients(seeds, variables, masked=False)
        known = {
            identity(defined(g, v)): point
            for g, v, point in zip(pulled, variables, points, strict=True)
            if g is not None
        }
        results = grad(None, left, None, "ignore", known_grads=known) if known else left
        zeros = {u: zero_gradient(v) for u, v in zip(left, floats, strict=True)}
        derivatives = dict(zip(floats, substitute(results, zeros), strict=True))
        of_all = [derivatives[v] if v in derivatives else zero_gradient(v) for v in functions]
    for v, derivative in zip(functions, of_all, strict=True):
        if all(derivative is not point for point in points):
            derivative.mentions = (*derivative.mentions, v)  # as in Theano: inputs of v are used
    return in_form(f, of_all)


def _points(given: Any, of: Variables, count: int) -> Sequence[Any]:
    """One evaluation point for each variable."""
    if isinstance(of, Variable) and not isinstance(given, list | tuple):
        return [given]
    points = several(given, "eval_points", "variables")
    if len(points) != count:
        raise ArgumentError(f"eval_points has {len(points)} variables for {count}")
    return points
