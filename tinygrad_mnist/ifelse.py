"""Theano's `ifelse`: a choice between expressions of which only the chosen one is computed.

from tinygrad_mnist.ifelse import ifelse
z = ifelse(T.gt(x.sum(), 0), T.dot(x, w), x)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.values import check_name, integer
from tinygrad_mnist.graph.variables import Constant, Variable, described
from tinygrad_mnist.ops.elementwise import cast
from tinygrad_mnist.ops.lazy import IFELSE
from tinygrad_mnist.ops.shape import without_broadcasting

__all__ = ["IfElse", "ifelse"]


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """`then_branch` if `condition` is not 0, else `else_branch`; the other one is not computed.

    condition: a scalar. The branches are expressions, or lists or tuples of expressions; then the
    result is one too. Expressions that belong together have one dtype and number of dimensions;
    shapes may differ. A Python number takes the dtype of the other branch. Gradients pass through
    the branch that is taken, so a NaN in the other one has no effect. A function with an `ifelse`
    runs in segments, which costs a few microseconds more than a `switch`.

    Raises GraphTypeError for a condition with dimensions or branches of different types,
    ArgumentError for branches with different numbers of expressions.
    """
    check_name(name, "the name of an ifelse")
    chooses = as_variable(condition)
    if chooses.ndim:
        raise GraphTypeError(
            f"{described(chooses)}; the condition of ifelse must be a scalar{at(user_source())}"
        )
    several = isinstance(then_branch, list | tuple)
    if several != isinstance(else_branch, list | tuple):
        raise GraphTypeError(
            "one branch of ifelse is a list or tuple, the other is one expression"
            f"{at(user_source())}"
        )
    sides = [list(b) if several else [b] for b in (then_branch, else_branch)]
    if len(sides[0]) != len(sides[1]):
        raise ArgumentError(
            f"the branches of ifelse have {len(sides[0])} and {len(sides[1])} expressions"
            f"{at(user_source())}"
        )
    pairs = [_of_one_type(a, b) for a, b in zip(*sides, strict=True)]
    results = _chosen(chooses, [a for a, _ in pairs], [b for _, b in pairs])
    for number, v in enumerate(results):
        if name is not None and v.node is not None and v.node.op is IFELSE:
            v.name = f"{name}.{number}" if several else name
    if several:
        return type(then_branch)(results)
    return results[0]


class IfElse:
    """`ifelse` as Theano's op: `IfElse(2)(condition, a, b, c, d)` gives [a, b] or [c, d], and
    `IfElse(1)(condition, a, b)` one of the two. as_view and gpu have no effect."""

    def __init__(
        self, n_outs: int, as_view: bool = False, gpu: bool = False, name: str | None = None
    ) -> None:
        self._n_results = integer(n_outs, "n_outs", 1)
        self._name = name

    def __call__(self, condition: Any, *branches: Any) -> Any:
        """Raises ArgumentError unless there are `n_outs` expressions for each branch."""
        n = self._n_results
        if len(branches) != 2 * n:
            raise ArgumentError(
                f"an IfElse of {n} results takes {2 * n} expressions, not {len(branches)}"
                f"{at(user_source())}"
            )
        results = ifelse(condition, list(branches[:n]), list(branches[n:]), self._name)
        return results[0] if n == 1 else results


def _chosen(
    condition: Variable, then: Sequence[Variable], other: Sequence[Variable]
) -> Sequence[Variable]:
    if isinstance(condition, Constant):
        return then if condition.value.item() else other
    if not then:
        return ()
    return IFELSE.node(condition, *then, *other, n_results=len(then)).outputs


def _of_one_type(then: Any, other: Any) -> tuple[Variable, Variable]:
    """What both branches give, with one dtype and one pattern of broadcastable axes."""
    a, b = as_variable(then), as_variable(other)
    if isinstance(a, Constant) and a.weak:
        a = cast(a, b.dtype if b.type.is_float or a.type.is_discrete else a.dtype)
    if isinstance(b, Constant) and b.weak:
        b = cast(b, a.dtype if a.type.is_float or b.type.is_discrete else b.dtype)
    if a.dtype != b.dtype or a.ndim != b.ndim:
        raise GraphTypeError(
            f"the branches of ifelse have different types, {a.type} and {b.type}; T.cast makes "
            f"dtypes equal{at(user_source())}"
        )
    flags = tuple(map(all, zip(a.broadcastable, b.broadcastable, strict=True)))
    return without_broadcasting(a, flags), without_broadcasting(b, flags)
