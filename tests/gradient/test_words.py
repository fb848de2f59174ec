"""The words of `theano.gradient` that change gradients, and `subgraph_grad`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import gradient
from tinygrad_mnist.errors import DisconnectedInputError, GraphTypeError

VALUES = np.array([-3.0, 0.2, 2.0])

# word, and the gradient of sum(x ** 3 * word(x)) where that of the word's operand is x ** 3
WORDS: list[tuple[str, Any, Any]] = [
    ("disconnected_grad", gradient.disconnected_grad, lambda g: 0 * g),
    ("consider_constant", gradient.consider_constant, lambda g: 0 * g),
    ("zero_grad", gradient.zero_grad, lambda g: 0 * g),
    ("grad_scale", lambda x: gradient.grad_scale(x, -0.25), lambda g: -0.25 * g),
    ("grad_scale by an integer", lambda x: gradient.grad_scale(x, 2), lambda g: 2 * g),
    ("grad_clip", lambda x: gradient.grad_clip(x, -1, 0.5), lambda g: np.clip(g, -1, 0.5)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("word", "rule"), [w[1:] for w in WORDS], ids=[w[0] for w in WORDS])
def test_value_and_gradient(device: str, word: Any, rule: Any, dtype: str) -> None:
    x = T.vector("x", dtype)
    y = word(x)
    assert y.type == x.type
    slope = T.grad(T.sum(x**3 * y), x)
    assert slope.dtype == dtype
    value, by_x = evaluate(device, [x], [y, slope], VALUES.astype(dtype))
    np.testing.assert_array_equal(value, VALUES.astype(dtype))
    np.testing.assert_allclose(by_x, 3 * VALUES**3 + rule(VALUES**3), rtol=1e-5)


@pytest.mark.parametrize(("word", "rule"), [w[1:] for w in WORDS], ids=[w[0] for w in WORDS])
def test_no_kernel_of_their_own(word: Any, rule: Any) -> None:
    x = T.dvector("x")
    with making_functions_for("cpu"):
        f, plain = theano.function([x], word(T.exp(x)) * 2), theano.function([x], T.exp(x) * 2)
    np.testing.assert_array_equal(f(VALUES), plain(VALUES))
    assert f.plan is not None
    assert plain.plan is not None
    assert len(f.plan.calls) == len(plain.plan.calls)


def test_connected_or_not(device: str) -> None:
    x = T.dvector("x")
    with pytest.raises(DisconnectedInputError):
        T.grad(T.sum(gradient.disconnected_grad(x)), x)
    for word in (gradient.zero_grad, gradient.consider_constant):
        slope = T.grad(T.sum(word(x)), x)
        np.testing.assert_array_equal(evaluate(device, [x], slope, VALUES), np.zeros(3))


def test_rop_of_the_words(device: str) -> None:
    x, v = T.dvector("x"), T.dvector("v")
    products = [
        T.Rop(word(x), x, v)
        for word in (gradient.zero_grad, gradient.disconnected_grad, lambda x: x**2)
    ]
    zero, none, twice = evaluate(device, [x, v], products, VALUES, np.ones(3))
    np.testing.assert_array_equal(zero, np.zeros(3))
    np.testing.assert_array_equal(none, np.zeros(3))
    np.testing.assert_array_equal(twice, 2 * VALUES)


def test_grad_clip_of_a_recurrence(device: str) -> None:
    """An exploding gradient is clipped at every step."""
    x = T.dscalar("x")
    h = x
    for _ in range(4):
        h = gradient.grad_clip(h, -1, 1) * 10
    assert evaluate(device, [x], T.grad(h, x), 1.0, on_unused_input="ignore") == 1


@pytest.mark.parametrize("wrong", ["1", None, T.dscalar("s"), True])
def test_bounds_are_numbers(wrong: Any) -> None:
    x = T.dvector("x")
    with pytest.raises(GraphTypeError, match="it must be a number"):
        gradient.grad_clip(x, 0, wrong)
    with pytest.raises(GraphTypeError, match="it must be a number"):
        gradient.grad_scale(x, wrong)


# --- subgraph_grad --------------------------------------------------------------------------------


def two_layers() -> tuple[list[Any], list[Any], Any, list[Any]]:
    """The inputs of a net of two layers and their values, its hidden layer, its costs."""
    rng = np.random.default_rng(2)
    x, w1, w2 = T.dvector("x"), T.dmatrix("w1"), T.dmatrix("w2")
    hidden = T.tanh(T.dot(x, w1))
    output = T.tanh(T.dot(hidden, w2))
    costs = [T.sum(output**2), 0.1 * T.sum(w2**2), 0.2 * T.sum(w1**2)]
    values = [rng.normal(size=s) for s in ((4,), (4, 3), (3, 2))]
    return [x, w1, w2], values, hidden, costs


def test_gradients_part_by_part(device: str) -> None:
    inputs, values, hidden, costs = two_layers()
    x, w1, w2 = inputs
    (by_w2,), (by_hidden,) = gradient.subgraph_grad([w2], [hidden], None, costs[0] + costs[1])
    start = {hidden: by_hidden}
    (by_w1,), (by_x,) = gradient.subgraph_grad([w1], [x], start, costs[2])
    whole = T.grad(sum(costs[1:], costs[0]), [w2, w1, x])
    results = evaluate(device, inputs, [by_w2, by_w1, by_x, *whole], *values)
    for part, expected in zip(results[:3], results[3:], strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-10)


def test_details_of_the_parts(device: str) -> None:
    inputs, values, hidden, costs = two_layers()
    x, w1, _ = inputs
    g = T.dvector("g")
    of_wrt, of_end, from_start, from_cost = gradient.subgraph_grad(
        [w1, w1], [x, w1], {hidden: g}, costs[2], details=True
    )
    assert (len(of_wrt), len(of_end)) == (2, 2)
    direct = T.grad(None, [w1, x], known_grads={hidden: g})
    weights = np.random.default_rng(4).normal(size=3)
    outputs = [*of_wrt, *of_end, *from_start, *from_cost, *direct]
    (a, b, c, d, start_w1, start_x, cost_w1, cost_x, direct_w1, direct_x) = evaluate(
        device, [*inputs, g], outputs, *values, weights, on_unused_input="ignore"
    )
    np.testing.assert_allclose(start_w1, direct_w1)
    np.testing.assert_allclose(start_x, direct_x)
    np.testing.assert_allclose(cost_w1, 0.4 * values[1])
    np.testing.assert_array_equal(cost_x, np.zeros(4))
    for total in (a, b, d):
        np.testing.assert_allclose(total, start_w1 + cost_w1)
    np.testing.assert_allclose(c, start_x)
    only = gradient.subgraph_grad([w1], [x], cost=costs[2], details=True)
    assert only[2] is None
    with pytest.raises(GraphTypeError, match="needs start or cost"):
        gradient.subgraph_grad([w1], [x])


def test_the_same_words_everywhere() -> None:
    for name in gradient.__all__:
        assert hasattr(gradient, name)
    for name in ("grad", "Rop", "Lop"):
        assert getattr(theano, name) is getattr(T, name) is getattr(gradient, name)
    assert theano.subgraph_grad is gradient.subgraph_grad
    for name in ("jacobian", "hessian", "consider_constant", "verify_grad", "numeric_grad"):
        assert getattr(T, name) is getattr(gradient, name)
    assert theano.gradient.grad_clip is gradient.grad_clip
    with pytest.raises(AttributeError, match="has no 'nothing' here"):
        theano.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="has no 'nothing' here"):
        T.nothing  # noqa: B018
