"""Copies of graphs, node by node."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.clone import clone, clone_get_equiv
from tinygrad_mnist.graph.traversal import leaves, toposort
from tinygrad_mnist.graph.variables import Constant

A = np.arange(6.0).reshape(2, 3)


def test_a_copy_has_nothing_in_common_but_shared_variables() -> None:
    x, w = T.dmatrix("x"), theano.shared(A, "w")
    y = T.tanh(x * w) + 2.0
    y.name = "y"
    (x2,), (y2,) = clone([x], [y])
    assert not set(toposort([y])) & set(toposort([y2]))
    assert {v for v in leaves([y2]) if v in leaves([y])} == {w}
    assert x2 in leaves([y2])
    assert (x2.name, y2.name, y2.origins) == ("x", "y", y.origins)
    np.testing.assert_array_equal(*[theano.function([i], o)(A) for i, o in ((x, y), (x2, y2))])


@pytest.mark.parametrize("copy_inputs", [True, False])
@pytest.mark.parametrize("copy_orphans", [True, False])
def test_what_is_copied(copy_inputs: bool, copy_orphans: bool) -> None:
    x = T.dvector("x")
    y = x * np.ones(3)
    assert y.node is not None
    equivalents = clone_get_equiv([x], [y], copy_inputs, copy_orphans)
    assert (equivalents[x] is x) is not copy_inputs
    (constant,) = (v for v in y.node.inputs if isinstance(v, Constant))
    assert (equivalents[constant] is constant) is not copy_orphans
    assert equivalents[y].node is equivalents[y.node]
    assert equivalents[y].node.inputs == (equivalents[x], equivalents[constant])


def test_expressions_as_inputs_and_inputs_as_outputs() -> None:
    x, z = T.dvector("x"), T.dvector("z")
    hidden = T.exp(x)
    (new_hidden,), (y, same, other) = clone([hidden], [hidden * 2, hidden, z])
    assert new_hidden.node is None
    assert same is new_hidden
    assert new_hidden in leaves([y])
    assert x not in leaves([y])
    assert (other is not z, other.name) == (True, "z")
    assert clone([x], [x, z], copy_inputs=False) == ([x], [x, z])


def test_a_memo_says_what_is_replaced() -> None:
    x, z = T.dvector("x"), T.dvector("z")
    y = T.exp(x)
    memo = {x: z}
    assert clone_get_equiv([x], [y], memo=memo) is memo
    assert memo[y].node.inputs == (z,)  # type: ignore[union-attr]


def test_attributes_are_taken_over_and_tags_copied() -> None:
    x = T.dvector("x")
    y = T.exp(x)
    x.role, y.tag.role = "data", "hidden"  # type: ignore[attr-defined]
    (x2,), (y2,) = clone([x], [y])
    assert (x2.role, y2.tag.role) == ("data", "hidden")  # type: ignore[attr-defined]
    y2.tag.role = "other"
    assert y.tag.role == "hidden"


def test_deep_graphs() -> None:
    x = y = T.dscalar("x")
    for _ in range(5000):
        y = T.neg(y)
    (x2,), (y2,) = clone([x], [y])
    assert leaves([y2]) == [x2]


def test_what_is_no_variable() -> None:
    with pytest.raises(GraphTypeError, match="the outputs are variables, not 3"):
        clone([], [3])  # type: ignore[list-item]
