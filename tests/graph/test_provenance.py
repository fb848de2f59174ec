"""The origins of nodes that replace others, for any rule and any pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Variable
from tinygrad_mnist.graph.source import Origin, Origins, merged, on_behalf_of
from tinygrad_mnist.graph.variables import Node
from tinygrad_mnist.rewrite.engine import rebuild

X, Y = T.dvector("x"), T.dvector("y")


def at_line(line: int, op: Callable[..., Any], *inputs: Variable) -> Variable:
    """op(*inputs), as if line `line` of a file had made it."""
    with on_behalf_of((Origin("model.py", line),)):
        result: Variable = op(*inputs)
    return result


def lines(v: Variable) -> list[int]:
    assert v.node is not None
    return sorted(origin.line for origin in v.node.origins)


def replacing(
    output: Variable, rules: dict[str, Callable[[Node, list[Variable]], Any]]
) -> Variable:
    """`output` with the nodes of some ops replaced; a rule returns None where its node joins."""

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable] | None:
        if node.op.name in rules:
            result = rules[node.op.name](node, inputs)
            return None if result is None else [result]
        return node.op.rebuild(inputs, node.params).outputs

    (result,) = rebuild([output], emit)
    return result


def test_a_copy_keeps_its_lines() -> None:
    result = replacing(at_line(2, T.exp, at_line(1, T.tanh, X)), {})
    assert lines(result) == [2]


def test_what_lies_between_is_replaced_too() -> None:
    product = at_line(3, T.mul, at_line(2, T.exp, at_line(1, T.tanh, X)), Y)
    inner: list[Variable] = []

    def rule(node: Node, inputs: list[Variable]) -> Variable:
        (x,) = inputs[0].node.inputs  # type: ignore[union-attr]
        inner.append(T.sqr(x))
        return T.mul(inner[0], inputs[1])

    result = replacing(product, {"mul": rule})
    assert lines(result) == lines(inner[0]) == [2, 3]  # tanh is read, not replaced


def test_what_is_read_elsewhere_is_not_replaced() -> None:
    first = at_line(1, T.exp, X)
    product = at_line(4, T.mul, at_line(3, T.sqr, at_line(2, T.tanh, first)), first)
    result = replacing(product, {"mul": lambda node, inputs: T.mul(inputs[1], inputs[1])})
    assert lines(result) == [2, 3, 4]


def test_a_node_that_joins_gives_its_lines_to_the_next_reader() -> None:
    joined = at_line(1, T.exp, X)
    constant = at_line(2, T.neg, Y)
    product = at_line(3, T.mul, joined, constant)
    total = at_line(4, T.add, product, at_line(5, T.tanh, Y))
    result = replacing(total, {"exp": lambda *_: None, "mul": lambda node, inputs: T.sqr(X)})
    (first, second) = result.node.inputs  # type: ignore[union-attr]
    assert lines(first) == [1, 3]  # also where an operand is left unread
    assert (lines(second), lines(result)) == ([5], [4])


def test_lines_of_views_go_to_views_alone() -> None:
    view = at_line(2, lambda x: x.dimshuffle(0, "x"), at_line(1, T.exp, X))

    def rule(node: Node, inputs: list[Variable]) -> Variable:
        (x,) = inputs[0].node.inputs  # type: ignore[union-attr]
        return T.tanh(x).dimshuffle(0, "x")

    result = replacing(at_line(3, T.tanh, view), {"tanh": rule})
    assert lines(result) == [2]
    assert lines(result.node.inputs[0]) == [3]  # type: ignore[union-attr]


def test_a_node_that_does_the_work_of_another_gets_its_lines() -> None:
    known: dict[str, Variable] = {}

    def merging(node: Node, inputs: list[Variable]) -> Variable:
        return known.setdefault("exp", T.exp(*inputs))

    total = at_line(3, T.add, at_line(1, T.exp, X), at_line(2, T.exp, X))
    result = replacing(total, {"exp": merging})
    assert lines(result.node.inputs[0]) == [1, 2]  # type: ignore[union-attr]


def test_an_identity_leaves_the_lines_of_its_operand() -> None:
    result = replacing(
        at_line(2, T.neg, at_line(1, T.exp, X)), {"neg": lambda n, inputs: inputs[0]}
    )
    assert lines(result) == [1]


def test_unions_keep_the_order() -> None:
    a, b, c = (Origin("model.py", line) for line in (3, 1, 2))
    several: list[Origins] = [(a, b), (b, c), (a,)]
    assert merged(*several) == (a, b, c)
    assert merged((a, b), (a, b)) == (a, b)
