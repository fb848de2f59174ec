"""The pass that replaces nodes by stable ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence

from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.rewrite.engine import copied, rebuild
from tinygrad_mnist.stability.readers import READERS
from tinygrad_mnist.stability.recognise import Recogniser
from tinygrad_mnist.stability.rules import RULES


def stabilise(
    outputs: Sequence[Variable],
    leaves: Container[Variable] = (),
    applied: Counter[str] | None = None,
) -> list[Variable]:
    """`outputs` with stable forms of all that is built from exponentials.

    leaves: variables whose expressions stay and are not looked into, since gradients with respect
    to them are taken. applied: counts the rules that were applied. What needs no other form stays
    the same node.
    """
    recogniser = Recogniser(leaves, READERS)

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable]:
        current = copied(node, inputs)
        rule = RULES.get(current.op.name)
        if rule is None:
            return current.outputs
        old = current.outputs[0]
        new = rule(recogniser, current)
        if new is None or new is old:
            return current.outputs
        if applied is not None:
            applied[rule.__name__] += 1
        return (_checked(rule.__name__, old, recogniser.whole(new, old)),)

    return rebuild(outputs, emit, up_to=leaves)


def _checked(rule: str, old: Variable, new: Variable) -> Variable:
    """A replacement must have the type of what it replaces; if not, the rule is wrong."""
    if new.dtype != old.dtype or new.broadcastable != old.broadcastable:
        raise AssertionError(f"the rule {rule} turns {old.type} into {new.type}: {old}")
    return new
