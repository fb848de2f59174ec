"""Theano's `clone`, `clone_replace` and `rebuild_collect_shared`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Out
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.functions.clone import clone, clone_replace, rebuild_collect_shared
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.traversal import leaves, toposort
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams


def value(expression: Any, **inputs: Any) -> Any:
    """What an expression computes for values of its inputs, by their names."""
    found = [v for v in leaves([expression]) if v.name in inputs]
    return theano.function(found, expression)(*(inputs[str(v.name)] for v in found))


@pytest.mark.parametrize("clone", [clone, clone_replace])
def test_replacements(device: str, clone: Any) -> None:
    x, y, w = T.dscalar("x"), T.dscalar("y"), theano.shared(10.0, "w")
    hidden = x * w
    cost = hidden + y
    assert value(clone(cost, {y: x}), x=2) == 22
    assert value(clone(cost, [(x, y), (y, x)]), x=1, y=2) == 21
    assert value(clone(cost, {x: x + 1}), x=2, y=0) == 30
    assert value(clone(cost, {hidden: y}), y=3) == 6
    assert value(clone(cost, {w: T.constant(3.0)}), x=2, y=1) == 7
    other = theano.shared(1.0)
    assert value(clone(cost, {w: other}), x=2, y=1) == 3
    assert clone(cost, {cost: x}) is x
    one, two = clone([hidden, cost], {x: y})
    assert one.node in toposort([two])


@pytest.mark.parametrize("share", [True, False])
def test_what_is_shared(share: bool) -> None:
    x, y, w = T.dscalar("x"), T.dscalar("y"), theano.shared(10.0, "w")
    cost = x * w + y
    copied = clone(cost, {y: x * 2}, share_inputs=share)
    assert not set(toposort([copied])) & set(toposort([cost]))
    inputs = {v for v in leaves([copied]) if v.name in ("x", "w")}
    assert len(inputs) == 2
    assert (x in inputs) is share
    assert w in inputs
    with pytest.warns(DeprecationWarning, match="old name of share_inputs"):
        old = clone(cost, copy_inputs=share)
    assert (x in leaves([old])) is share


def test_nothing_replaced_is_a_copy() -> None:
    x = T.dscalar("x")
    y = T.exp(x)
    y.name, y.tag.role = "y", "hidden"
    copied = clone(y)
    assert copied is not y
    assert (copied.name, copied.tag.role, copied.origins) == ("y", "hidden", y.origins)
    assert clone([]) == []


def test_strictness() -> None:
    x, f = T.fvector("x"), T.dvector("f")
    with pytest.raises(GraphTypeError, match=r"f.* float64"):
        clone(T.sum(x), {x: f})
    assert value(clone(T.sum(x), {x: f}, strict=False), f=[1.5, 2]) == 3.5
    with pytest.raises(GraphTypeError, match="0 dimensions"):
        clone(T.sum(x), {x: T.fscalar()}, strict=False)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: clone(3), "outputs are variables, not 3"),
        (lambda x: clone(x, 3), "replace is a dict"),
        (lambda x: clone(x, {3: x}), "3 .* is not a variable"),
        (lambda x: clone(x, [(x, 1.0), (x, 2.0)]), "twice"),
        (lambda x: clone(x, strict=2), "strict"),
        (lambda x: rebuild_collect_shared(x, [theano.shared(1.0, "w")]), "w can't be an input"),
        (lambda x: rebuild_collect_shared(x, updates=[(x, x)]), "x can't be updated"),
    ],
)
def test_wrong_arguments(call: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call(T.dscalar("x"))


def test_collects_shared_variables_and_updates() -> None:
    x, y, w = T.dscalar("x"), T.dscalar("y"), theano.shared(1.0, "w")
    count = theano.shared(0, "count")
    count.default_update = count + 1
    cost = x * w + count
    inputs, outputs, (equivalents, updates, pairs, shared) = rebuild_collect_shared(
        [cost, Out(x, borrow=True)], [x], {y: x}, {w: w + y}, copy_inputs_over=False
    )
    (new_x,) = inputs
    assert new_x is not x
    assert equivalents[x] is new_x
    assert equivalents[cost] is outputs[0]
    assert equivalents[cost.node] is outputs[0].node
    assert isinstance(outputs[1], Out)
    assert (outputs[1].variable, outputs[1].borrow) == (new_x, True)
    assert set(shared) == {w, count}
    assert list(updates) == [w, count]
    assert [v for v, _ in pairs] == [w, count]
    assert y not in leaves([updates[w]])
    step = theano.function(inputs, outputs[0], updates=updates)
    assert (step(2), step(2), count.get_value()) == (2, 7, 2)


@pytest.mark.parametrize("how", [{}, {"copy_inputs_over": True}, {"copy_inputs_over": False}])
def test_whether_inputs_are_shared(how: dict[str, bool]) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    inputs, output, _ = rebuild_collect_shared(x * y, [x], **how)  # type: ignore[arg-type]
    assert (inputs[0] is x) == how.get("copy_inputs_over", True)
    assert (y in leaves([output])) == how.get("copy_inputs_over", True)


@pytest.mark.parametrize("refused", [True, "list"])
def test_default_updates_that_are_refused(refused: Any) -> None:
    count = theano.shared(0, "count")
    count.default_update = count + 1
    no = [count] if refused == "list" else True
    _, output, (_, updates, pairs, shared) = rebuild_collect_shared(
        count * 2, no_default_updates=no
    )
    assert (updates, pairs, shared) == ({}, [], [count])
    assert isinstance(output, Variable)
    assert rebuild_collect_shared(None)[1] == []


def test_draws_of_a_copy_are_the_same() -> None:
    draw = RandomStreams(3).uniform((4,))
    copied = clone(draw)
    assert [v for v in leaves([copied]) if isinstance(v, SharedVariable)] == [
        v for v in leaves([draw]) if isinstance(v, SharedVariable)
    ]
    np.testing.assert_array_equal(*theano.function([], [draw, copied])())
