"""Theano's words: import lines, constructors, operators, constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor import shared_randomstreams
from tinygrad_mnist.tensor.nnet import conv, conv2d, relu, sigmoid, softmax, softplus
from tinygrad_mnist.tensor.signal import downsample, pool

A = np.arange(6.0).reshape(2, 3)


def test_the_import_lines_of_theano_programs() -> None:
    assert theano.tensor is T
    assert theano.tensor.nnet.conv.conv2d is conv.conv2d
    assert T.nnet.conv2d is conv2d
    assert T.signal.downsample.max_pool_2d is downsample.max_pool_2d
    assert T.signal.pool.pool_2d is pool.pool_2d
    assert T.shared_randomstreams.RandomStreams is shared_randomstreams.RandomStreams
    assert (T.nnet.sigmoid, T.nnet.softmax, T.nnet.relu) == (sigmoid, softmax, relu)
    assert T.nnet.softplus is softplus
    assert T.grad is theano.grad
    assert isinstance(theano.shared(1.0), theano.SharedVariable)


def test_all_names_what_is_there() -> None:
    for module in (theano, T, T.nnet, T.signal, pool, downsample, conv, shared_randomstreams):
        assert [name for name in module.__all__ if not hasattr(module, name)] == []


OPERATORS: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("+", lambda x, y: x + y),
    ("-", lambda x, y: x - y),
    ("*", lambda x, y: x * y),
    ("/", lambda x, y: x / y),
    ("//", lambda x, y: x // y),
    ("%", lambda x, y: x % y),
    ("**", lambda x, y: x**y),
    ("<", lambda x, y: x < y),
    ("<=", lambda x, y: x <= y),
    (">", lambda x, y: x > y),
    (">=", lambda x, y: x >= y),
    ("divmod()[0]", lambda x, y: divmod(x, y)[0]),
    ("divmod()[1]", lambda x, y: divmod(x, y)[1]),
]


@pytest.mark.parametrize("other", [2.5, np.float64(2.5), np.full((2, 3), 2.5), [2.5, 0.5, 1.5]])
@pytest.mark.parametrize(("symbol", "operator"), OPERATORS, ids=[o[0] for o in OPERATORS])
def test_operators_with_anything_on_either_side(
    device: str, symbol: str, operator: Callable[[Any, Any], Any], other: Any
) -> None:
    x = T.dmatrix("x")
    values = A + 0.5
    outputs = [operator(x, other), operator(other, x)]
    assert all(isinstance(v, theano.Variable) for v in outputs)
    for result, expected in zip(
        evaluate(device, [x], outputs, values),
        (operator(values, np.array(other)), operator(np.array(other), values)),
        strict=True,
    ):
        np.testing.assert_allclose(result, expected, rtol=1e-14)


BIT_OPERATORS: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("&", lambda x, y: x & y),
    ("|", lambda x, y: x | y),
    ("^", lambda x, y: x ^ y),
]


@pytest.mark.parametrize("other", [6, np.int32(6), np.full((2, 3), 6), [6, 1, 3]])
@pytest.mark.parametrize(("symbol", "operator"), BIT_OPERATORS, ids=[o[0] for o in BIT_OPERATORS])
def test_bit_operators_with_anything_on_either_side(
    device: str, symbol: str, operator: Callable[[Any, Any], Any], other: Any
) -> None:
    x = T.imatrix("x")
    values = A.astype("int32") - 3
    outputs = [operator(x, other), operator(other, x)]
    for result in evaluate(device, [x], outputs, values):
        np.testing.assert_array_equal(result, operator(values, np.array(other)))


@pytest.mark.parametrize("other", [A.T, A.T.tolist(), [1.0, 2.0, 3.0]])
def test_matrix_product_with_anything_on_either_side(device: str, other: Any) -> None:
    x = T.dmatrix("x")
    array = np.array(other)
    right, left = evaluate(device, [x], [x @ other, array.T @ x.T], A)
    np.testing.assert_allclose(right, A @ array, rtol=1e-14)
    np.testing.assert_allclose(left, array.T @ A.T, rtol=1e-14)


def test_a_numpy_scalar_keeps_its_dtype_and_a_python_number_does_not() -> None:
    x = T.fvector("x")
    assert (np.float32(2) * x).dtype == (2.0 * x).dtype == "float32"
    assert (np.float64(2) * x).dtype == (np.array([2.0]) * x).dtype == "float64"
    assert (np.int64(2) * x).dtype == "float64"
    assert (2 * x).dtype == "float32"
    assert isinstance(np.float32(2) * x, theano.Variable)
    assert (np.ones(3, "float32") + x).ndim == 1


def test_an_array_of_another_byte_order_is_a_constant_too(device: str) -> None:
    x = T.dmatrix("x")
    np.testing.assert_array_equal(evaluate(device, [x], x + A.astype(">f8"), A), 2 * A)


def test_a_constant_is_a_copy(device: str) -> None:
    value = A.copy()
    x = T.dmatrix("x")
    total = x + value
    value += 100
    np.testing.assert_array_equal(evaluate(device, [x], total, A), 2 * A)


NO_VARIABLES: list[tuple[Any, str]] = [
    ("text", "can't be used in an expression"),
    (None, "can't be used in an expression"),
    (1j, "can't be used in an expression"),
    (np.array(["a"]), "it must be a number or an array of numbers"),
    (np.float16(1), "an array of dtype float16 can't be a constant"),
    (np.uint64(1), "an array of dtype uint64 can't be a constant"),
    ([T.dscalar(), "text"], "can't be used in an expression"),
    ([T.dscalar(), T.dvector()], "with 0 and 1 dimensions can't be stacked"),
]


@pytest.mark.parametrize(("value", "message"), NO_VARIABLES)
def test_what_is_no_variable(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        T.as_tensor_variable(value)


MISUSES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("if", lambda x: bool(x < 1), "no truth value"),
    ("chain", lambda x: 0 < x < 1, "no truth value"),
    ("len", len, r"no len\(\); use x.shape\[0\]"),
    ("for", list, "can't be iterated over"),
]


@pytest.mark.parametrize(("use", "message"), [m[1:] for m in MISUSES], ids=[m[0] for m in MISUSES])
def test_python_idioms_that_need_a_value(use: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        use(T.vector())


def test_variables_in_sets_and_dicts() -> None:
    x, y = T.vector(), T.vector()
    assert x == x
    assert x != y
    assert {x: 1, y: 2}[y] == 2
    assert y not in [x]


def test_methods(device: str) -> None:
    x = T.dmatrix("x")
    outputs = [
        x.sum(),
        x.sum(axis=0),
        x.mean(axis=1),
        x.max(),
        x.min(axis=1),
        x.prod(axis=0),
        x.argmax(axis=1),
        x.cumsum(axis=1),
        x.T.dot(x),
        x.transpose(),
        x.astype("int32"),
        x.reshape((3, 2)),
        x.dimshuffle(1, 0),
        x.flatten(),
        x.ravel(),
        abs(-x),
        +x,
        round(x / 4),
        x.round("half_away_from_zero"),
        x.clip(1, 4),
        x.copy(),
        x.fill(2.5),
        x.shape,
    ]
    expected = [
        A.sum(),
        A.sum(0),
        A.mean(1),
        A.max(),
        A.min(1),
        A.prod(0),
        A.argmax(1),
        A.cumsum(1),
        A.T @ A,
        A.T,
        A.astype("int32"),
        A.reshape(3, 2),
        A.T,
        A.ravel(),
        A.ravel(),
        A,
        A,
        np.round(A / 4),
        A,
        A.clip(1, 4),
        A,
        np.full_like(A, 2.5),
        A.shape,
    ]
    for result, exact in zip(evaluate(device, [x], outputs, A), expected, strict=True):
        np.testing.assert_allclose(result, exact, rtol=1e-14)


METHODS = [
    *("arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "ceil", "cos", "cosh"),
    *("deg2rad", "exp", "exp2", "expm1", "floor", "log", "log10", "log1p", "log2", "rad2deg"),
    *("round", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"),
]


def test_methods_that_are_words(device: str) -> None:
    x = T.dvector("x")
    values = np.array([0.25, 1.5, 2.5])
    methods = evaluate(device, [x], [getattr(x, name)() for name in METHODS], values)
    words = evaluate(device, [x], [getattr(T, name)(x) for name in METHODS], values)
    for name, method, function in zip(METHODS, methods, words, strict=True):
        np.testing.assert_array_equal(method, function, err_msg=name)


def test_a_copy_is_a_variable_of_its_own(device: str) -> None:
    x = T.dvector("x")
    y = x.copy()
    y.name = "y"
    assert x.name == "x"
    gradient = T.grad(T.sum(y * y), y)
    np.testing.assert_array_equal(evaluate(device, [x], gradient, np.array([1.0, 3])), [2, 6])


def test_round_takes_no_digits() -> None:
    with pytest.raises(TypeError, match="takes no ndigits"):
        round(T.vector(), 2)
