"""Lazy ops: `ifelse`, which computes one of two branches, and gradients through it.

No backend has them. A plan ends before them; when the condition is known, the branch that is taken
replaces the node: see `compile/cuts.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.types import TensorType, tensor_type
from tinygrad_mnist.graph.variables import Choice, Node, Op, Variable
from tinygrad_mnist.ops.creation import zeros_like
from tinygrad_mnist.ops.elementwise import identity


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    first = types[1 : 1 + params["n_results"]]
    return [tensor_type(t.dtype, t.broadcastable) for t in first]


def _vjp(node: Node, gradients: Sequence[Variable | None]) -> list[Variable | None]:
    """For `Lop` and its like; `grad` itself waits until the condition is known."""
    condition, *_ = node.inputs
    back: list[Variable | None] = [None]
    for taken in (True, False):
        for v, g in zip(branch(node, taken), gradients, strict=True):
            if g is None or not v.type.is_float:
                back.append(None)
                continue
            pair = (g, zeros_like(v)) if taken else (zeros_like(v), g)
            back.append(IFELSE(condition, *pair, n_results=1))
    return back


# a condition, the results if it isn't 0, those if it is -> the ones that are chosen; params
# n_results. Both kinds have the same dtypes and broadcastable axes; their shapes may differ.
IFELSE = register_op(
    Op(
        "ifelse",
        _infer,
        None,
        multi_vjp=_vjp,
        lazy=True,
        choice=Choice(
            lambda node: node.inputs[0], bool, lambda node, taken: branch(node, bool(taken))
        ),
        shown="n_results",
    )
)


def branch(node: Node, taken: bool) -> Sequence[Variable]:
    """The results of a node of `ifelse` for a condition that holds, or does not."""
    n: int = node.params["n_results"]
    return node.inputs[1 : 1 + n] if taken else node.inputs[1 + n :]


def _infer_gradients(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    wrt = types[1 : 1 + params["n_wrt"]]
    return [tensor_type(t.dtype if t.is_float else "floatX", t.broadcastable) for t in wrt]


# a cost, variables, variables that count as constant -> the gradients of the cost with respect to
# the former; params n_wrt
LAZY_GRADIENT = register_op(Op("lazy_gradient", _infer_gradients, None, lazy=True))


def is_lazy(v: Variable) -> bool:
    """Whether it depends on a lazy op, or on anything in a branch of one."""
    return any(node.op.lazy for node in toposort([v]))


def lazy_gradient(
    cost: Variable, wrt: Sequence[Variable], constants: Collection[Variable]
) -> list[Variable]:
    """The gradients of a cost that depends on a lazy op: they are taken when it is known which
    branches are computed.

    Each variable gets a copy, which alone the cost reads. For by then another variable may have
    replaced it, which the cost also reads in other places: a branch, or a variable given for it.
    """
    wanted = dict.fromkeys((*wrt, *constants))
    order = [v for v in wanted if v.node is None]
    order += [v for node in toposort(wanted) for v in node.outputs if v in wanted]
    copies: dict[Variable, Variable] = {}
    for v in order:
        copies[v] = identity(*substitute([v], copies))
    (copied,) = substitute([cost], copies)
    inputs = [copies[v] for v in (*wrt, *constants)]
    return list(LAZY_GRADIENT.node(copied, *inputs, n_wrt=len(wrt)).outputs)
