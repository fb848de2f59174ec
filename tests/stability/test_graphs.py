"""Which graphs change, and which do not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import DisconnectedInputError
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.stability import stabilise

Unary = Callable[[Any], Any]
nn = T.nnet


def ops(v: Any) -> Counter[str]:
    return Counter(node.op.name for node in toposort([v]) if node.op.name != "dimshuffle")


def stable(expression: Unary, ndim: int = 2) -> Counter[str]:
    """The ops of the stable form of an expression of one variable."""
    x = T.tensor("float64", (False,) * ndim, "x")
    return ops(stabilise([expression(x)])[0])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda x: 1 / (1 + T.exp(-x)), ["logistic"]),
        (lambda x: T.exp(x) / (1 + T.exp(x)), ["logistic"]),
        (lambda x: 1 - 1 / (1 + T.exp(-x)), ["neg", "logistic"]),
        (lambda x: 0.5 * (1 + T.tanh(x / 2)), ["logistic"]),
        (lambda x: T.log(1 + T.exp(x)), ["softplus"]),
        (lambda x: T.log(nn.sigmoid(x)), ["neg", "softplus", "neg"]),
        (lambda x: T.log(1 - nn.sigmoid(x)), ["softplus", "neg"]),
        (lambda x: T.log1p(T.exp(x)), ["softplus"]),
        (lambda x: T.log1p(-nn.sigmoid(x)), ["softplus", "neg"]),
        (lambda x: T.log(nn.softmax(x)), ["log_softmax"]),
        (lambda x: T.log(T.exp(x)), []),
        (lambda x: T.exp(x) - 1, ["expm1"]),
        (lambda x: 1 - T.exp(x), ["expm1", "neg"]),
        (lambda x: T.log(1 + x), ["log1p"]),
        (lambda x: T.log(x + 1), ["log1p"]),
        (lambda x: T.log(1 - x), ["neg", "log1p"]),
        (lambda x: T.exp(x) / T.exp(x).sum(axis=1, keepdims=True), ["share"]),
        (lambda x: T.exp(x) / T.exp(x).sum(axis=0).dimshuffle("x", 0), ["share"]),
        (lambda x: x - T.log(T.exp(x).sum(axis=1)).dimshuffle(0, "x"), ["log_share"]),
        (lambda x: T.log(T.exp(x) + T.exp(2 * x)), ["mul", "logaddexp"]),
        (lambda x: 1 / T.exp(x), ["neg", "exp"]),
        (lambda x: T.sqrt(T.sqr(x)), ["abs"]),
        (lambda x: T.sqrt(T.sum(x**2)), ["pow", "sum", "norm_root"]),
        (lambda x: (T.exp(x) - T.exp(-x)) / (T.exp(x) + T.exp(-x)),
         ["neg", "sub", "mul", "hyperbolic_tangent"]),
    ],
    ids=range(24),
)  # fmt: skip
def test_what_an_expression_becomes(expression: Unary, expected: list[str]) -> None:
    assert stable(expression) == Counter(expected)


@pytest.mark.parametrize(
    "expression",
    [
        lambda x: T.exp(x),
        lambda x: 3 * T.exp(x) + x,
        lambda x: T.exp(x) / 3,
        lambda x: T.exp(-T.sqr(x)) / np.sqrt(2 * np.pi),
        lambda x: x * T.exp(x),
        lambda x: T.exp(x).sum(),
        lambda x: T.exp(x)[1:].T.reshape((-1,)),
        lambda x: nn.sigmoid(x) * (x + nn.sigmoid(2 * x)),
        lambda x: nn.sigmoid(x) - x,
        lambda x: T.log(x) + T.sqrt(x),
        lambda x: T.log(2 + x),
        lambda x: T.log(x - 1),
        lambda x: T.log(nn.softmax(x) + 1e-8),
        lambda x: T.log(T.clip(nn.sigmoid(x), 1e-7, 1)),
        lambda x: T.log(2 - nn.sigmoid(x)),
        lambda x: 2 * T.log(x),
        lambda x: T.sqrt(T.sum(x**2) + 1e-8),
        lambda x: T.sqrt(T.sum(abs(x))),
        lambda x: (x - T.mean(x)) / T.sqrt(T.var(x) + 1e-5),
        lambda x: 1 + T.tanh(x) * x,
        lambda x: T.sum(nn.softmax(x) * x, axis=1) / T.sqrt(T.sum(nn.softmax(x) * x)),
        lambda x: nn.relu(T.dot(x, x)) / (1 + x),
        lambda x: nn.elu(x),
    ],
    ids=range(23),
)
def test_what_stays(expression: Unary) -> None:
    """It is not even rebuilt."""
    x = T.dmatrix("x")
    v = expression(x)
    (result,) = stabilise([v])
    assert result is v


@pytest.mark.parametrize(
    "expression",
    [
        lambda x: T.log(1 - 1 / (1 + T.exp(-x))).sum(),
        lambda x: T.log(T.exp(x) / T.exp(x).sum(axis=1, keepdims=True))[:, 0].sum(),
        lambda x: (1 / (T.exp(x) + T.exp(-x) + x)).sum(),
        lambda x: T.log(T.exp(x) + x**2).sum(),
        lambda x: (x * T.log(x)).sum(),
        lambda x: T.log(1 - nn.softmax(x)).sum(),
    ],
    ids=range(6),
)
def test_what_is_stable_stays_so(expression: Unary) -> None:
    """Graphs are made stable again when they are compiled: nothing is added then."""
    x = T.dmatrix("x")
    once = stabilise([expression(x)])[0]
    assert ops(stabilise([once])[0]) == ops(once)
    gradient = T.grad(expression(x), x)
    again = ops(stabilise([gradient])[0])
    assert again.total() <= 1.1 * ops(gradient).total()


# --- variables by which a user differentiates -----------------------------------------------------


def test_nothing_is_recognised_across_a_variable_of_the_gradient() -> None:
    """d log(p) / dp is 1 / p, also where p is a sigmoid."""
    x = T.dvector("x")
    e = T.exp(-x)
    p = 1 / (1 + e)
    cost = T.sum(T.log(1 - p))
    f = theano.function([x], T.grad(cost, [p, e, x]))
    values = np.array([-1.0, 0.5, 2.0])
    by_p, by_e, by_x = f(values)
    exact = 1 / (1 + np.exp(-values))
    np.testing.assert_allclose(by_p, -1 / (1 - exact))
    np.testing.assert_allclose(by_e, exact**2 / (1 - exact))
    np.testing.assert_allclose(by_x, -exact)


def test_a_variable_and_what_it_depends_on() -> None:
    """The part below a variable is stable too."""
    x = T.dvector("x")
    p = 1 / (1 + T.exp(-x))
    by_p, by_x = theano.function([x], T.grad(T.sum(p**2), [p, x]))([-800.0, 800.0])
    np.testing.assert_array_equal(by_p, [0, 2])
    np.testing.assert_array_equal(by_x, [0, 0])


def test_considered_constant() -> None:
    x = T.dvector("x")
    e = T.exp(x)
    cost = T.sum(e / (1 + e))
    with pytest.raises(DisconnectedInputError):
        T.grad(cost, x, consider_constant=[e])
    total = 1 + e
    f = theano.function([x], T.grad(T.sum(e / total), x, consider_constant=[total]))
    np.testing.assert_allclose(f([0.0, 1.0]), [0.5, np.e / (1 + np.e)])


def test_a_gradient_that_cancels_is_zero_and_not_missing() -> None:
    x = T.dvector("x")
    gradient = T.grad(T.sum(T.exp(x) * T.exp(-x)), x)
    np.testing.assert_array_equal(theano.function([x], gradient)([1.0, 800.0]), [0, 0])
    with pytest.raises(DisconnectedInputError):
        T.grad(T.sum(x), T.dvector("y"))


def test_second_derivatives() -> None:
    x = T.dvector("x")
    values = np.array([-800.0, -2.0, 0.0, 2.0, 800.0])
    first = T.grad(T.sum(1 / (1 + T.exp(-x))), x)
    second = theano.function([x], T.grad(T.sum(first), x))(values)
    s = 1 / (1 + np.exp(-np.clip(values, -700, 700)))
    np.testing.assert_allclose(second, s * (1 - s) * (1 - 2 * s), atol=1e-15)


# --- cost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [lambda v, x: v * T.exp(x), lambda v, x: -T.exp(v), lambda v, x:
                                  T.switch(x > 0, v, -v)], ids=range(3))  # fmt: skip
def test_time_is_linear(step: Any) -> None:
    def seconds(n: int) -> float:
        x = T.dvector("x")
        v = T.exp(x)
        for _ in range(n):
            v = step(v, x)
        begin = time.process_time()
        stabilise([T.log(v)])
        return time.process_time() - begin

    seconds(10)
    short = min(seconds(300) for _ in range(3))
    assert min(seconds(3000) for _ in range(2)) < 30 * short + 2


NESTED: dict[str, Any] = {
    "switch": lambda v, x, i: T.switch(x > i, v + 1, v * 2),
    "both branches": lambda v, x, i: T.switch(x > i, -v, v) / 3.0,
    "joined": lambda v, x, i: T.concatenate([v, v[::-1]])[:2] * 2 + 1,
    "sum": lambda v, x, i: T.switch(x > 0, v + v, v - 2 * v),
    "views": lambda v, x, i: (v / T.sum(v, keepdims=True))[::-1],
    "tanh": lambda v, x, i: -(1 + T.tanh(-v)),
    "logarithms": lambda v, x, i: x * (T.log(v * v) + v),
    "views of a softmax": lambda v, x, i: v[::-1] if i else v / T.sum(v),
}


@pytest.mark.parametrize("n", [20, 400])
@pytest.mark.parametrize("step", NESTED)
def test_nested_choices_take_linear_time(step: str, n: int) -> None:
    """Each has several ways to what is below."""
    x = T.dvector("x")
    v = T.exp(x)
    for i in range(n):
        v = NESTED[step](v, x, i)
    begin = time.process_time()
    (result,) = stabilise([T.log(v)])
    # Exponential time would be minutes for 20. A collection of garbage in the process of the whole
    # suite takes most of a second.
    assert time.process_time() - begin < 10
    assert len(toposort([result])) < 200 * n


def test_a_form_does_not_depend_on_what_was_asked_before() -> None:
    """Neither on outputs before, nor on how deep it lies."""
    x = T.dvector("x")
    v = T.exp(x)
    for _ in range(100):
        v = v * 1.01 + T.exp(-x)
    outputs = [T.log(v), T.sum(v), 1 / v]
    alone = [ops(stabilise([output])[0]) for output in outputs]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        together = stabilise([outputs[i] for i in order])
        assert [ops(v) for v in together] == [alone[i] for i in order]
