"""Theano's `gof.graph`: walks, copies and comparisons of graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import gof
from tinygrad_mnist.errors import GraphTypeError


def parts() -> tuple[Any, ...]:
    x, w = T.dvector("x"), theano.shared(np.ones(3), "w")
    product = x * w
    cost = T.sum(product + 1.5)
    return x, w, product, cost


def test_walks() -> None:
    x, w, product, cost = parts()
    assert gof.inputs([product]) == [x, w]
    found = gof.inputs([cost])
    assert found[:2] == [x, w]
    assert all(v.node is None for v in found)
    assert set(gof.inputs([cost], blockers=[product])) == set(found) - {x, w}
    assert gof.ancestors([product]) == [product, x, w]
    assert product in gof.ancestors([cost], blockers=[product])
    assert x not in gof.ancestors([cost], blockers=[product])
    nodes = gof.io_toposort([x], [cost])
    assert [node.outputs[0] for node in (nodes[0], nodes[-1])] == [product, cost]
    assert gof.ops([x], [cost]) == set(gof.list_of_nodes([x], [cost])) == set(nodes)
    assert w in gof.orphans([x], [cost])
    assert x not in gof.orphans([x], [cost])
    assert set(gof.variables([x], [cost])) == set(gof.ancestors([cost]))
    assert gof.is_in_ancestors(cost.node, product.node)
    assert not gof.is_in_ancestors(product.node, cost.node)
    assert gof.as_string([x], [product]) == [theano.pp(product)]


def test_a_copy_computes_the_same() -> None:
    x, w, _, cost = parts()
    (copied_x,), (copied_cost,) = gof.clone([x], [cost])
    assert copied_x is not x
    assert copied_x.name == "x"
    assert x not in gof.inputs([copied_cost])
    assert w in gof.inputs([copied_cost])
    assert theano.function([copied_x], copied_cost)([1, 2, 3]) == 10.5
    kept, (again,) = gof.clone([x], [cost], copy_inputs=False)
    assert kept == [x]
    assert theano.function([x], again)([1, 2, 3]) == 10.5


def test_equal_graphs() -> None:
    x, y = T.dvector("x"), T.dvector("y")

    def f(v: Any, axis: int = 0, number: float = 2.5) -> Any:
        return T.sum(T.exp(v) * number, axis=axis)

    assert gof.is_same_graph(f(x), f(x))
    for other in (f(y), f(x, number=3.5), T.sum(T.exp(x) + 2.5), T.sum(T.exp(2.5 * x)), x.sum()):
        assert not gof.is_same_graph(f(x), other)
    matrix = T.dmatrix()
    assert not gof.is_same_graph(matrix.sum(axis=0), matrix.sum(axis=1))
    assert gof.is_same_graph(f(x), f(y), givens={y: x})
    assert gof.equal_computations([f(x), x], [f(y), y], [x], [y])
    assert not gof.equal_computations([f(x)], [f(y), y], [x], [y])
    assert not gof.equal_computations([x + y], [x + x], [x, y], [y, x])
    assert gof.equal_computations([x - y], [y - x], [x, y], [y, x])


def test_what_is_no_variable() -> None:
    with pytest.raises(GraphTypeError, match="graphs are of symbolic variables"):
        gof.inputs([1])  # type: ignore[list-item]


def test_the_module_has_theanos_parts() -> None:
    found: Any = gof
    assert found.graph.ancestors is gof.ancestors
    assert isinstance(T.exp(T.dscalar()).node, found.Apply)
    x, y = T.dscalars("x", "y")
    with pytest.raises(found.MissingInputError):
        theano.function([x], x + y)
    with pytest.raises(
        AttributeError, match=r"theano\.gof has no 'Op' here: ops in Python are not"
    ):
        _ = found.Op
