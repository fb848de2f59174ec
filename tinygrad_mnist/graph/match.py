"""Matching: which op makes a variable, what its operands are, and which constant it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_mnist.graph.variables import Constant, Node, Variable


def made_by(v: Variable, *ops: str) -> Node | None:
    """The node that makes `v`, if it is of one of these ops."""
    node = v.node
    return node if node is not None and node.op.name in ops else None


def operand_of(v: Variable, *ops: str) -> Variable | None:
    """The first input of the node that makes `v`, if it is of one of these ops."""
    node = made_by(v, *ops)
    return None if node is None else node.inputs[0]


def both_orders(inputs: Sequence[Variable]) -> tuple[Sequence[Variable], Sequence[Variable]]:
    """The two inputs of an op as they are, and in the other order."""
    return inputs, inputs[::-1]


def constant_value(v: Variable) -> float | None:
    """The number that fills a constant, seen through views that check nothing; None for anything
    else."""
    while v.node is not None and v.node.op.view is not None and v.node.op.checks is None:
        v = v.node.inputs[0]
    if isinstance(v, Constant) and v.value.size == 1:
        return v.value.item()  # type: ignore[no-any-return]
    return None


def is_arange(v: Variable, n: int) -> bool:
    """Whether `v` is the constant 0, 1, ..., n - 1."""
    while (source := operand_of(v, "static_reshape")) is not None:
        v = source
    return (
        isinstance(v, Constant)
        and v.value.shape == (n,)
        and bool(np.array_equal(v.value, np.arange(n)))
    )
