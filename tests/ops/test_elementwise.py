"""Elementwise ops: values, gradients, dtypes, broadcasting, kinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(1)
A = _rng.normal(size=(3, 4))  # of both signs, no two alike
B = _rng.normal(size=(3, 4))
P = _rng.uniform(0.3, 2.5, size=(3, 4))
Q = _rng.uniform(0.3, 2.5, size=(3, 4))
ROW = _rng.normal(size=(1, 4))
COLUMN = _rng.normal(size=(3, 1))
VECTOR = _rng.normal(size=4)
SCALAR = np.asarray(_rng.normal())
INTS = np.array([[3, -7, 0, 5], [2, 1, -1, 8], [-5, 9, 4, -2]], "int32")
DIVISORS = np.array([[2, 3, -4, -2], [1, 5, 7, -3], [2, -2, 3, 9]], "int32")


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


CASES = [
    Case("add", lambda x, y: x + y, lambda x, y: x + y, (A, B)),
    Case("sub", lambda x, y: x - y, lambda x, y: x - y, (A, B)),
    Case("mul", lambda x, y: x * y, lambda x, y: x * y, (A, B)),
    Case("true_div", lambda x, y: x / y, lambda x, y: x / y, (A, P)),
    Case("int_div", lambda x, y: x // y, lambda x, y: x // y, (A, P), gradient=False),
    Case("mod", lambda x, y: x % y, lambda x, y: x % y, (A, P)),
    Case("pow", lambda x, y: x**y, lambda x, y: x**y, (P, B)),
    Case("square", lambda x: x**2, lambda x: x**2, (A,)),
    Case("cube", lambda x: x**3, lambda x: x**3, (A,)),
    Case("inverse", lambda x: x**-1, lambda x: 1 / x, (P,)),
    Case("square root by power", lambda x: x**0.5, lambda x: x**0.5, (P,)),
    Case("power of a number", lambda x: 2.0**x, lambda x: 2.0**x, (A,)),
    Case("power of integers", lambda x, n: x**n, lambda x, n: x**n, (P, INTS), dtype="float64"),
    Case("number - x", lambda x: 1 - x, lambda x: 1 - x, (A,)),
    Case("number / x", lambda x: 3 / x, lambda x: 3 / x, (P,)),
    Case("number // x", lambda x: 3 // x, lambda x: 3 // x, (P,), gradient=False),
    Case("number % x", lambda x: 3 % x, lambda x: 3 % x, (P,)),
    Case("maximum", T.maximum, np.maximum, (A, B)),
    Case("minimum", T.minimum, np.minimum, (A, B)),
    Case("relu", T.nnet.relu, lambda x: np.maximum(x, 0), (A,)),
    Case(
        "switch",
        lambda x, y: T.switch(x > y, x * y, 2.0),
        lambda x, y: np.where(x > y, x * y, 2.0),
        (A, B),
    ),
    Case("neg", lambda x: -x, lambda x: -x, (A,)),
    Case("abs", abs, np.abs, (A,)),
    Case("sgn", T.sgn, np.sign, (A,), gradient=False),
    Case("sqr", T.sqr, np.square, (A,)),
    Case("sqrt", T.sqrt, np.sqrt, (P,)),
    Case("exp", T.exp, np.exp, (A,)),
    Case("log", T.log, np.log, (P,)),
    Case("log1p", T.log1p, np.log1p, (P,)),
    Case("sigmoid", T.nnet.sigmoid, sigmoid, (A,)),
    Case("tanh", T.tanh, np.tanh, (A,)),
    Case("softplus", T.nnet.softplus, lambda x: np.log1p(np.exp(x)), (A,)),
    Case("clip", lambda x: T.clip(x, -0.5, 0.7), lambda x: np.clip(x, -0.5, 0.7), (A,)),
    Case(
        "clip between arrays",
        lambda x, a, b: T.clip(x, a, b + 3),
        lambda x, a, b: np.clip(x, a, b + 3),
        (A, B, P),
    ),
    Case("copy", lambda x: x.copy() * 2, lambda x: x * 2, (A,)),
    Case("floor", T.floor, np.floor, (A,), gradient=False),
    Case("ceil", T.ceil, np.ceil, (A,), gradient=False),
    Case(
        "same operand twice",
        lambda x: x * x - x / (x * x + 1),
        lambda x: x * x - x / (x * x + 1),
        (A,),
    ),
    Case("row", lambda x, y: x * y, lambda x, y: x * y, (A, ROW), (1,)),
    Case("column", lambda x, y: x / y, lambda x, y: x / y, (P, np.abs(COLUMN) + 1), (1,)),
    Case("row and column", lambda x, y: T.maximum(x, y), np.maximum, (ROW, COLUMN), (0, 1)),
    Case("matrix and vector", lambda x, y: x - y, lambda x, y: x - y, (A, VECTOR)),
    Case("vector and matrix", lambda x, y: x - y, lambda x, y: x - y, (VECTOR, A)),
    Case("matrix and scalar", lambda x, y: x**y, lambda x, y: x**y, (P, SCALAR)),
    Case("scalars", lambda x, y: x * T.exp(y), lambda x, y: x * np.exp(y), (SCALAR, SCALAR / 2)),
    Case("switch stretches all three", T.switch, np.where, (INTS[:, :1], ROW, A), (0, 1)),
    Case("bool times float", lambda x: T.gt(x, 0) * x, lambda x: (x > 0) * x, (A,)),
    Case(
        "cast to float64 and back",
        lambda x: T.cast(T.exp(T.cast(x, "float64")), "float32"),
        np.exp,
        (A,),
        dtype="float32",
        gradient=False,
    ),
    Case(
        "cast to an integer",
        lambda x: T.cast(x * 5, "int32"),
        lambda x: (x * 5).astype("int32"),
        (A,),
        dtype="int32",
        gradient=False,
    ),
    Case(
        "cast to bool",
        lambda x: T.cast(T.floor(x), "bool"),
        lambda x: np.floor(x) != 0,
        (A,),
        dtype="bool",
        gradient=False,
    ),
    Case(
        "cast to uint8",
        lambda x: T.cast(abs(x) * 50, "uint8"),
        lambda x: (np.abs(x) * 50).astype("uint8"),
        (A,),
        dtype="uint8",
        gradient=False,
    ),
    *(
        Case(f"{name} of {kind}", getattr(T, name), function, values, dtype="bool", gradient=False)
        for name, function in (
            ("eq", np.equal),
            ("neq", np.not_equal),
            ("lt", np.less),
            ("le", np.less_equal),
            ("gt", np.greater),
            ("ge", np.greater_equal),
        )
        for kind, values in (
            ("floats", (np.round(A), np.round(B))),
            ("integers", (INTS, INTS[::-1].copy())),
            ("an integer and a float", (INTS, np.round(B))),
        )
    ),
    *(
        Case(f"integers: {name}", function, function, values, dtype=dtype, gradient=False)
        for name, function, values, dtype in (
            ("add", lambda x, y: x + y, (INTS, DIVISORS), "int32"),
            ("mul", lambda x, y: x * y, (INTS, DIVISORS), "int32"),
            ("floor division", lambda x, y: x // y, (INTS, DIVISORS), "int32"),
            ("modulo", lambda x, y: x % y, (INTS, DIVISORS), "int32"),
            ("neg", lambda x: -x, (INTS,), "int32"),
            ("abs", abs, (INTS,), "int32"),
            ("squared", lambda x: x**2, (INTS,), "int32"),
            ("wider one wins", lambda x, y: x + y, (INTS, DIVISORS.astype("int64")), "int64"),
            ("int8 wraps", lambda x, y: x * y, (np.int8([100, -100]), np.int8([3, 3])), "int8"),
            ("uint8 wraps", lambda x, y: x - y, (np.uint8([3, 9]), np.uint8([5, 2])), "uint8"),
        )
    ),
    Case(
        "integers: powers wrap",
        lambda x: x**7,
        lambda x: x**7,
        (np.int64([2, -3, 10**9, 0, -1]),),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "integers: negative powers",
        lambda x, n: x**n,
        lambda x, n: np.trunc(x.astype(float) ** n),
        (np.int32([1, -1, -1, 2, -3]), np.int32([-2, -2, -3, -1, -5])),
        dtype="int32",
        gradient=False,
    ),
    Case("integers: floor", T.floor, lambda x: x, (INTS,), dtype="int32", gradient=False),
    Case("integers: ceil", T.ceil, lambda x: x, (INTS,), dtype="int32", gradient=False),
    Case(
        "integers: maximum", T.maximum, np.maximum, (INTS, DIVISORS), dtype="int32", gradient=False
    ),
    Case(
        "integers: large cubes",
        lambda x: x**3,
        lambda x: x**3,
        (INTS.astype("int64") * 1000,),
        dtype="int64",
        gradient=False,
    ),
]


test_value, test_gradient = make_tests(CASES)


# --- kinks and ties -----------------------------------------------------------------------------


def gradients_of(device: str, function: Callable[..., Any], *values: Any) -> list[Any]:
    inputs = [T.dvector(f"x{i}") for i in range(len(values))]
    cost = T.sum(function(*inputs))
    return evaluate(device, inputs, T.grad(cost, inputs), *map(np.array, values))


def test_first_argument_wins_a_tie_of_maximum(device: str) -> None:
    first, second = gradients_of(device, T.maximum, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    np.testing.assert_array_equal(first, [1, 0, 1])
    np.testing.assert_array_equal(second, [0, 1, 0])


def test_first_argument_wins_a_tie_of_minimum(device: str) -> None:
    first, second = gradients_of(device, T.minimum, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    np.testing.assert_array_equal(first, [1, 1, 0])
    np.testing.assert_array_equal(second, [0, 0, 1])


@pytest.mark.parametrize("relu", [T.nnet.relu, lambda z: T.maximum(0.0, z)])
def test_relu_has_slope_0_at_0(device: str, relu: Callable[..., Any]) -> None:
    (slopes,) = gradients_of(device, relu, [-1.0, -0.0, 0.0, 2.0])
    np.testing.assert_array_equal(slopes, [0, 0, 0, 1])


def test_abs_has_slope_0_at_0(device: str) -> None:
    (slopes,) = gradients_of(device, abs, [-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(slopes, [-1, 0, 1])


def test_square_has_slope_0_at_0(device: str) -> None:
    (slopes,) = gradients_of(device, lambda x: x**2, [0.0, 3.0])
    np.testing.assert_array_equal(slopes, [0, 6])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_propagates_from_either_side(device: str, name: str, dtype: str) -> None:
    x, y = T.vector("x", dtype), T.vector("y", dtype)
    nan, inf = np.nan, np.inf
    a, b = np.array([nan, 1, nan, inf], dtype), np.array([1, nan, nan, -inf], dtype)
    result = evaluate(device, [x, y], getattr(T, name)(x, y), a, b)
    np.testing.assert_array_equal(result, getattr(np, name)(a, b))


def test_comparisons_with_nan_are_false(device: str) -> None:
    x = T.dvector("x")
    outputs = [T.eq(x, x), T.neq(x, x), T.lt(x, 1), T.ge(x, 1), T.switch(T.gt(x, 0), 1, 2)]
    results = evaluate(device, [x], outputs, np.array([np.nan]))
    assert [bool(r[0]) for r in results[:4]] == [False, True, False, False]
    assert results[4][0] == 2


def test_clip_passes_its_gradient_where_x_lies_between(device: str) -> None:
    values = [-2.0, -1.0, 0.0, 1.0, 2.0]
    x, low, high = gradients_of(device, T.clip, values, [-1.0] * 5, [1.0] * 5)
    np.testing.assert_array_equal(x, [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(low, [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(high, [0, 0, 0, 0, 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturation(device: str, dtype: str) -> None:
    x = T.vector("x", dtype)
    values = np.array([-1e4, -100, 100, 1e4], dtype)
    outputs = [T.nnet.sigmoid(x), T.tanh(x), T.nnet.softplus(x)]
    sigmoid_, tanh, softplus = evaluate(device, [x], outputs, values)
    np.testing.assert_allclose(sigmoid_[2:], 1, rtol=0)
    assert sigmoid_[0] == 0
    np.testing.assert_allclose(tanh, [-1, -1, 1, 1], rtol=0)
    np.testing.assert_allclose(softplus[2:], [100, 1e4], rtol=1e-6)
    assert softplus[0] == 0


# --- dtypes -------------------------------------------------------------------------------------

FLOATX = [
    ("int32 / int32", lambda i, f: i / i, "floatX"),
    ("int64 / int", lambda i, f: T.lvector() / 2, "floatX"),
    ("int32 * float32", lambda i, f: i * f, "float64"),
    ("int8 * float32", lambda i, f: T.cast(i, "int8") * f, "float32"),
    ("int64 + float32", lambda i, f: T.lvector() + f, "float64"),
    ("uint8 + int8", lambda i, f: T.cast(i, "uint8") + T.cast(i, "int8"), "int16"),
    ("int8 + 1", lambda i, f: T.cast(i, "int8") + 1, "int8"),
    ("int8 + 300", lambda i, f: T.cast(i, "int8") + 300, "int16"),
    ("int32 + 0.5", lambda i, f: i + 0.5, "int32 with floatX"),
    ("float32 + 0.5", lambda i, f: f + 0.5, "float32"),
    ("float32 + 2**40", lambda i, f: f + 2**40, "float32"),
    ("float32 + float64 scalar", lambda i, f: f + np.float64(1), "float64"),
    ("float32 ** 2", lambda i, f: f**2, "float32"),
    ("bool + bool", lambda i, f: T.gt(f, 0) + T.gt(f, 1), "bool"),
    ("bool * float32", lambda i, f: T.gt(f, 0) * f, "float32"),
    ("bool * 2", lambda i, f: T.gt(f, 0) * 2, "int8"),
    ("switch(int, float32, 0)", lambda i, f: T.switch(i, f, 0), "float32"),
    ("switch(float64, float32, 0.0)", lambda i, f: T.switch(T.dvector(), f, 0.0), "float32"),
    ("switch(bool, 1, 0)", lambda i, f: T.switch(T.gt(f, 0), 1, 0), "int8"),
    ("switch(bool, 1.0, 0)", lambda i, f: T.switch(T.gt(f, 0), 1.0, 0), "floatX"),
    ("cast to floatX", lambda i, f: T.cast(i, "floatX"), "floatX"),
]


@pytest.mark.parametrize("float_x", ["float32", "float64"])
@pytest.mark.parametrize(
    ("expression", "dtype"), [case[1:] for case in FLOATX], ids=[case[0] for case in FLOATX]
)
def test_dtype(expression: Callable[..., Any], dtype: str, float_x: str) -> None:
    theano.config.floatX = float_x
    if dtype == "int32 with floatX":
        dtype = "float64"
    expected = float_x if dtype == "floatX" else dtype
    assert expression(T.ivector("i"), T.fvector("f")).dtype == expected


@pytest.mark.parametrize("condition", ["float32", "float64", "int8", "uint8", "bool"])
def test_any_number_but_0_is_true(device: str, condition: str) -> None:
    c = T.vector("c", condition)
    values = np.array([0, 0.25, 1, 7]).astype(condition)
    result = evaluate(device, [c], T.switch(c, 10, 20), values)
    np.testing.assert_array_equal(result, np.where(values, 10, 20))


def test_a_tiny_condition_is_true_beside_narrower_branches(device: str) -> None:
    c, x = T.dvector("c"), T.fvector("x")
    result = evaluate(device, [c, x], T.switch(c, x, -x), np.array([1e-300]), np.float32([2]))
    np.testing.assert_array_equal(result, [2])


# --- broadcasting -------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [T.add, T.mul, T.maximum, T.eq])
def test_a_length_of_1_does_not_broadcast_unless_its_type_says_so(
    device: str, op: Callable[..., Any]
) -> None:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    result = op(x, y)  # the line that the error names
    function = theano.function([x, y], result)
    with pytest.raises(ValueError, match=r"(?s)shapes .3, 4., .1, 4. differ along axis 0") as error:
        function(A, ROW)
    line = test_a_length_of_1_does_not_broadcast_unless_its_type_says_so.__code__.co_firstlineno + 5
    assert f"made at {__file__}:{line}" in str(error.value)
    assert function(A[:1], ROW).shape == (1, 4)


def test_shapes_that_differ_are_an_error(device: str) -> None:
    x, y = T.dvector("x"), T.dvector("y")
    function = theano.function([x, y], x * y)
    with pytest.raises(ValueError, match="differ along axis 0"):
        function(np.zeros(3), np.zeros(4))


def test_the_gradient_of_a_broadcast_operand_is_summed(device: str) -> None:
    x, bias = T.dmatrix("x"), T.dvector("bias")
    gradient = T.grad(T.sum((x + bias) * x), bias)
    np.testing.assert_allclose(
        evaluate(device, [x, bias], gradient, A, VECTOR), A.sum(axis=0), rtol=1e-12
    )


def test_empty_arrays(device: str) -> None:
    x = T.dmatrix("x")
    assert evaluate(device, [x], T.exp(x) + 1, np.zeros((0, 3))).shape == (0, 3)


def test_wrong_number_of_arguments() -> None:
    with pytest.raises(TypeError, match="sub takes 2 arguments; 1 were given"):
        T.sub(T.dvector())
    with pytest.raises(TypeError, match="maximum takes at least 1 argument; 0 were given"):
        T.maximum()
