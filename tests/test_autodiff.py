"""Gradients of whole nets, and what `grad` says and refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, assert_gradient, differences, evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import DisconnectedInputError, GraphTypeError
from tinygrad_mnist.tensor.nnet import conv2d
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams
from tinygrad_mnist.tensor.signal import pool

_rng = np.random.default_rng(11)
LABELS = np.int32([2, 0, 1])


def check_net(device: str, net: Callable[..., Any], values: Sequence[AnyArray]) -> None:
    """The gradients of a cost by all its arguments agree with differences of the oracle's cost."""
    inputs = [T.tensor("float64", (False,) * v.ndim, f"x{i}") for i, v in enumerate(values)]
    y = T.ivector("y")
    cost = net(y, *inputs)
    results = evaluate(device, [*inputs, y], T.grad(cost, inputs), *values, LABELS)
    theano.config.device = "reference"
    oracle = theano.function([*inputs, y], cost)
    for number, result in enumerate(results):
        expected = differences(lambda v: float(oracle(*v, LABELS)), values, number)
        assert_gradient(result, expected)


def cross_entropy(scores: Any, y: Any) -> Any:
    return -T.mean(T.log(T.nnet.softmax(scores))[T.arange(y.shape[0]), y])


ACTIVATIONS = [T.nnet.sigmoid, T.tanh, T.nnet.relu, T.nnet.softplus]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=["sigmoid", "tanh", "relu", "softplus"])
def test_fully_connected(device: str, activation: Callable[[Any], Any]) -> None:
    def net(y: Any, x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        hidden = activation(T.dot(x, w1) + b1)
        squares = T.sum(w1**2) + T.sum(w2**2)
        return cross_entropy(T.dot(hidden, w2) + b2, y) + 0.05 * squares

    shapes = [(3, 4), (4, 5), (5,), (5, 3), (3,)]
    check_net(device, net, [_rng.normal(size=shape) for shape in shapes])


@pytest.mark.parametrize("activation", ACTIVATIONS[1:3], ids=["tanh", "relu"])
def test_convolutional(device: str, activation: Callable[[Any], Any]) -> None:
    def layer(x: Any, w: Any, b: Any) -> Any:
        pooled = pool.pool_2d(conv2d(x, w), (2, 2), ignore_border=True)
        return activation(pooled + b.dimshuffle("x", 0, "x", "x"))

    def net(y: Any, x: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any) -> Any:
        hidden = layer(x.reshape((3, 1, 7, 7)), w1, b1)
        hidden = layer(hidden, w2, b2).reshape((3, 2))
        return cross_entropy(T.dot(hidden, w3), y)

    shapes = [(3, 49), (2, 1, 2, 2), (2,), (2, 2, 2, 2), (2,), (2, 3)]
    check_net(device, net, [_rng.normal(size=shape) for shape in shapes])


def test_quadratic_cost_of_sigmoids(device: str) -> None:
    def net(y: Any, x: Any, w: Any, b: Any) -> Any:
        output = 1 / (1 + T.exp(-(T.dot(x, w) + b)))
        wanted = T.eq(y.dimshuffle(0, "x"), T.arange(3).dimshuffle("x", 0))
        return T.mean(T.sum((output - wanted) ** 2, axis=1)) / 2

    check_net(device, net, [_rng.normal(size=shape) for shape in ((3, 4), (4, 3), (3,))])


def test_binary_cross_entropy_of_sigmoids(device: str) -> None:
    def net(y: Any, x: Any, w: Any) -> Any:
        p = T.nnet.sigmoid(T.dot(x, w))
        wanted = T.eq(y.dimshuffle(0, "x"), T.arange(3).dimshuffle("x", 0))
        return -T.sum(wanted * T.log(p) + (1 - wanted) * T.log(1 - p))

    check_net(device, net, [_rng.normal(size=shape) for shape in ((3, 4), (4, 3))])


def test_dropout(device: str) -> None:
    x, w = T.dmatrix("x"), T.dmatrix("w")
    mask = RandomStreams(5).binomial((3, 4), dtype="float64")
    cost = T.sum(T.tanh(T.dot(x * mask, w)) ** 2)
    values = [_rng.normal(size=(3, 4)), _rng.normal(size=(4, 2))]
    drawn, by_x, by_w = evaluate(device, [x, w], [mask, *T.grad(cost, [x, w])], *values)

    def numpy_cost(arguments: Sequence[AnyArray]) -> float:
        return float((np.tanh((arguments[0] * drawn) @ arguments[1]) ** 2).sum())

    assert_gradient(by_x, differences(numpy_cost, values, 0))
    assert_gradient(by_w, differences(numpy_cost, values, 1))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "int32", "int64"])
def test_powers_by_the_extremes_of_integers(device: str, dtype: str) -> None:
    """The exponent less 1 doesn't wrap around."""
    x, p = T.dvector("x"), T.vector("p", dtype=dtype)
    info = np.iinfo(dtype)
    values = np.array([1.0, 2.0, 1.001, 3.0, 0.0])
    exponents = np.array([info.min, max(info.min, -128), min(info.max, 255), 0, 1], dtype)
    number = exponents.astype("float64")
    with np.errstate(divide="ignore"):
        right = np.where(number == 0, 0, number * values ** (number - 1))
    by_vector = evaluate(device, [x, p], T.grad((x**p).sum(), x), values, exponents)
    np.testing.assert_allclose(by_vector, right, rtol=1e-12)
    for k in range(len(values)):
        power = x ** T.constant(exponents[k])
        by_constant = evaluate(device, [x], T.grad(power.sum(), x), values[[k]])
        np.testing.assert_allclose(by_constant, right[[k]], rtol=1e-12)


# --- second derivatives ---------------------------------------------------------------------------

SECOND: list[tuple[str, Callable[[Any], Any], AnyArray]] = [
    ("tanh", lambda x: T.sum(T.tanh(x) * x), _rng.normal(size=(2, 3))),
    ("powers", lambda x: T.sum(x**3 + 2 / x + x**0.5), _rng.uniform(1, 2, size=(2, 3))),
    ("softplus", lambda x: T.sum(T.nnet.softplus(x) * T.exp(-x)), _rng.normal(size=(2, 3))),
    ("product", lambda x: T.sum(T.dot(x, x.T) ** 2), _rng.normal(size=(2, 3))),
    ("mean", lambda x: T.mean((x - T.mean(x, axis=0)) ** 4), _rng.normal(size=(3, 2))),
    ("softmax", lambda x: T.sum(T.nnet.softmax(x) ** 2), _rng.normal(size=(2, 3))),
    ("log of softmax", lambda x: -(T.log(T.nnet.softmax(x))[0, 1] ** 2), _rng.normal(size=(2, 3))),
    ("gather", lambda x: T.sum(x[[0, 1, 0]] ** 3), _rng.normal(size=(2, 3))),
    ("slices", lambda x: T.sum(x[1:] ** 2 * x[:-1]), _rng.normal(size=(4, 2))),
    ("prod", lambda x: T.sum(T.prod(x, axis=1) ** 2), _rng.uniform(1, 2, size=(2, 3))),
    ("max", lambda x: T.sum(T.max(x, axis=1) ** 3), _rng.normal(size=(2, 3))),
    ("reshape", lambda x: T.sum(T.tanh(x.reshape((3, 2)).T) ** 2), _rng.normal(size=(2, 3))),
    ("log1p", lambda x: T.sum(T.log1p(x) * T.sqrt(x)), _rng.uniform(1, 2, size=3)),
]


@pytest.mark.parametrize(
    ("expression", "value"), [s[1:] for s in SECOND], ids=[s[0] for s in SECOND]
)
def test_second_derivatives(device: str, expression: Callable[[Any], Any], value: AnyArray) -> None:
    x = T.tensor("float64", (False,) * value.ndim, "x")
    weights = np.random.default_rng(1).normal(size=value.shape)
    slope = T.sum(T.grad(expression(x), x) * weights)
    result = evaluate(device, [x], T.grad(slope, x), value)
    theano.config.device = "reference"
    first = theano.function([x], slope)
    assert_gradient(result, differences(lambda v: float(first(*v)), [value], 0))


# --- what grad takes and refuses ------------------------------------------------------------------


def test_one_variable_or_several(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    cost = x**2 * y
    single = T.grad(cost, x)
    assert isinstance(single, theano.Variable)
    assert evaluate(device, [x, y], [single, *T.grad(cost, (x, y))], 3, 2) == [12, 12, 9]


def test_gradient_by_an_intermediate_expression(device: str) -> None:
    x = T.dvector("x")
    hidden = T.exp(x)
    cost = T.sum(hidden**2) + T.sum(T.log(hidden))
    values = np.array([0.0, 1.0])
    result = evaluate(device, [x], T.grad(cost, hidden), values)
    np.testing.assert_allclose(result, 2 * np.exp(values) + np.exp(-values), rtol=1e-12)


def test_gradient_of_the_cost_by_itself(device: str) -> None:
    x = T.dscalar("x")
    cost = x * 2
    assert evaluate(device, [x], T.grad(cost, cost), 3, on_unused_input="ignore") == 1


def test_gradients_have_the_dtype_and_shape_of_their_variable(device: str) -> None:
    x, w = T.dmatrix("x"), T.row("w", "float32")
    cost = T.sum(T.exp(x) * w)
    gradient = T.grad(cost, w)
    assert (gradient.dtype, gradient.ndim) == ("float32", 2)
    value = _rng.normal(size=(3, 2))
    result = evaluate(device, [x, w], gradient, value, np.float32([[1, 2]]))
    np.testing.assert_allclose(result, np.exp(value).sum(0, keepdims=True), rtol=1e-6)


def test_an_unconnected_variable() -> None:
    x, w = T.dvector("x"), T.dvector("w")
    cost = T.sum(x)
    message = r"(?s)the cost does not depend on w through.*made at .*test_autodiff.py:\d+"
    with pytest.raises(DisconnectedInputError, match=message):
        T.grad(cost, w)
    with pytest.raises(DisconnectedInputError, match="depend on w"):
        T.grad(cost, [x, w])
    with pytest.raises(GraphTypeError, match="disconnected_inputs is 'maybe'"):
        T.grad(cost, w, disconnected_inputs="maybe")


@pytest.mark.parametrize(
    "step", [T.floor, T.ceil, T.sgn, lambda x: x // 2, lambda x: T.cast(x > 0, "float64")]
)
def test_steps_pass_no_gradient(step: Callable[[Any], Any]) -> None:
    x = T.dvector("x")
    with pytest.raises(DisconnectedInputError, match="does not depend on x"):
        T.grad(T.sum(step(x)), x)


def test_zeros_for_an_unconnected_variable(device: str) -> None:
    x, w = T.dvector("x"), T.fmatrix("w")
    by_x, by_w = T.grad(T.sum(x**2), [x, w], disconnected_inputs="ignore")
    assert by_w.dtype == "float32"
    results = evaluate(device, [x, w], [by_x, by_w], [1.0, 2.0], np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(results[0], [2, 4])
    np.testing.assert_array_equal(results[1], np.zeros((2, 3)))
    with pytest.warns(UserWarning, match="does not depend on w"):
        T.grad(T.sum(x), w, disconnected_inputs="warn")


def test_consider_constant(device: str) -> None:
    x = T.dscalar("x")
    factor = T.exp(x)
    gradient = T.grad(x * factor, x, consider_constant=[factor])
    assert evaluate(device, [x], gradient, 1.5) == np.exp(1.5)
    with pytest.raises(DisconnectedInputError):
        T.grad(T.sum(factor), x, consider_constant=[factor])


def test_costs_and_variables_that_cannot_be() -> None:
    x, i = T.dvector("x"), T.ivector("i")
    with pytest.raises(GraphTypeError, match="the cost must be a float scalar, not float64 vector"):
        T.grad(x * 2, x)
    with pytest.raises(GraphTypeError, match="the cost must be a float scalar, not int64 scalar"):
        T.grad(T.sum(i), x)
    with pytest.raises(GraphTypeError, match="no gradient with respect to integers"):
        T.grad(T.sum(x * i), i)


def test_integers_inside_pass_no_gradient(device: str) -> None:
    x, i = T.dvector("x"), T.ivector("i")
    gradient = T.grad(T.sum(x * i * T.cast(T.floor(x), "int32")), x)
    result = evaluate(device, [x, i], gradient, [1.5, 2.5], np.int32([3, 4]))
    np.testing.assert_array_equal(result, [3, 8])


def test_a_long_chain(device: str) -> None:
    x = T.dscalar("x")
    y, value, slope = x, 0.3, 1.0
    for _ in range(400):  # deeper than Python may recurse
        y = y + 0.01 * T.tanh(y)
        slope *= 1 + 0.01 * (1 - np.tanh(value) ** 2)
        value += 0.01 * np.tanh(value)
    assert evaluate(device, [x], T.grad(y, x), 0.3) == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize("wrong", [3.0, np.ones(2)])
def test_grad_takes_symbolic_variables(wrong: Any) -> None:
    x = T.dscalar("x")
    with pytest.raises(GraphTypeError, match="grad takes symbolic variables, not a"):
        T.grad(wrong, x)
    with pytest.raises(GraphTypeError, match="grad takes symbolic variables, not a"):
        T.grad(x, [wrong])
