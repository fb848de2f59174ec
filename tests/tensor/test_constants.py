"""The dtypes of Python numbers: alone, in `constant` and its kin, and beside variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

LINE = rf"made at .*{Path(__file__).name}:\d+"
V = T.fvector("v")

# What makes a variable of a Python number alone.
MAKERS: dict[str, Callable[[Any], T.Variable]] = {
    "constant": T.constant,
    "as_tensor_variable": T.as_tensor_variable,
    "alloc": lambda n: T.alloc(n, 2),
    "fill": lambda n: T.fill(T.dvector(), n),
    "x.fill": lambda n: V.fill(n),
    "second": lambda n: T.second(T.ivector(), n),
    "stack": lambda n: T.stack([n, n]),
}


@pytest.mark.parametrize("float_x", ["float32", "float64"])
@pytest.mark.parametrize("name", MAKERS)
def test_python_numbers_alone(name: str, float_x: str) -> None:
    """A float is floatX; an int the narrowest integer that holds it."""
    theano.config.floatX = float_x
    make = MAKERS[name]
    for number in (0.5, 0.1, 1e-300, float("nan"), float("-inf"), 1e300):
        assert make(number).dtype == float_x, number
    narrowest = {
        "int8": (0, 3, -128, 127), "int16": (128, -129, 2**15 - 1),
        "int32": (2**15, -(2**31)), "int64": (2**31, -(2**63), 2**63 - 1),
    }  # fmt: skip
    for dtype, numbers in narrowest.items():
        assert {make(n).dtype for n in numbers} == {dtype}
    assert make(True).dtype == "bool"


@pytest.mark.parametrize("name", MAKERS)
def test_arrays_keep_their_dtype(name: str) -> None:
    for dtype in ("int8", "uint16", "uint32", "int64", "float32", "float64", "bool"):
        assert MAKERS[name](np.ones((), dtype)).dtype == dtype
    assert T.constant([1, 2]).dtype == "int64"
    assert T.constant([1.0, 2]).dtype == "float64"


def test_values_and_forms(device: str) -> None:
    c = T.constant([[1, 2]], name="c", ndim=3)
    assert (c.name, c.broadcastable) == ("c", (True, True, False))
    results = evaluate(device, [], [c, T.constant(0.1), T.constant(0.1, "float64"), T.constant(7)])
    for result, value in zip(results, ([[[1, 2]]], np.float32(0.1), 0.1, np.int8(7)), strict=True):
        assert result.dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(result, value)
    assert T.as_tensor_variable(V) is V
    assert T.constant(2, dtype="float32").dtype == "float32"
    with pytest.raises(TypeError, match="2 dimensions can't have ndim=1"):
        T.constant([[1]], ndim=1)


def test_update_rules_keep_float32() -> None:
    """As written in libraries of update rules: moments, corrected for the number of the step."""
    w, t = theano.shared(np.ones(3, "float32")), theano.shared(np.float32(0))
    one, gradient = T.constant(1), 2 * w
    moment = theano.shared(np.zeros(3, "float32"))
    step = t + 1
    m = 0.9 * moment + (one - T.constant(0.9)) * gradient
    rate = T.constant(0.1) * T.sqrt(one - 0.999**step) / (one - 0.9**step)
    function = theano.function([], [], updates=[(moment, m), (t, step), (w, w - rate * m)])
    function()
    assert w.get_value().dtype == "float32"
    assert np.all(w.get_value() < 1)


# --- beside variables ---------------------------------------------------------------------------

NUMBERS = {0.5: True, 2.0: True, -0.375: True, 0.1: False, 1e-7: False, 1e300: False, 1e-300: False}


@pytest.mark.parametrize("number", NUMBERS)
def test_a_float_beside_float32(number: float) -> None:
    """At floatX=float64 one that float32 doesn't hold makes the result float64."""
    x = T.fvector("x")
    forms = [
        lambda: x * number, lambda: number - x, lambda: x / number, lambda: x**number,
        lambda: T.maximum(x, number), lambda: T.switch(x > 0, x, number),
        lambda: T.clip(x, number, 5.0),
    ]  # fmt: skip
    for form in forms:
        theano.config.floatX = "float32"
        assert form().dtype == "float32"
        theano.config.floatX = "float64"
        assert form().dtype == ("float32" if NUMBERS[number] else "float64")
        assert (x > number).dtype == "bool"
    assert (T.dvector() * number).dtype == "float64"
    theano.config.floatX = "float32"
    assert (T.dvector() * number).dtype == "float64"


def test_the_value_is_that_of_its_dtype(device: str) -> None:
    x, d = T.fvector("x"), T.dvector("d")
    values = evaluate(device, [x, d], [x * 0.1, d * 0.1], np.float32([3]), np.float64([3]))
    np.testing.assert_array_equal(values[0], np.float32([3]) * np.float32(0.1))
    np.testing.assert_array_equal(values[1], np.float64([3]) * 0.1)
    theano.config.floatX = "float64"
    (value,) = evaluate(device, [x], [x * 0.1], np.float32([3]))
    np.testing.assert_array_equal(value, np.float64([3]) * 0.1)


def test_ints_and_floats_beside_integers() -> None:
    i, b, u = T.ivector(), T.bvector(), T.vector("u", "uint16")
    assert ((i + 1).dtype, (b + 1).dtype, (b + 200).dtype) == ("int32", "int8", "int16")
    assert ((u + 1).dtype, (u * 70000).dtype) == ("int32", "int32")
    assert ((i * 0.5).dtype, (b * 0.5).dtype) == ("float64", "float32")
    assert (V * 7).dtype == "float32"


FORMULAS = [
    T.deg2rad, T.rad2deg, T.erf, T.erfc, T.exp2, T.log2, T.log10, T.nnet.hard_sigmoid, T.nnet.selu,
    T.nnet.ultra_fast_sigmoid, T.nnet.softplus, T.nnet.relu, T.nnet.elu, T.tanh, T.mean, T.var,
]  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS)
def test_numbers_of_formulas_widen_nothing(formula: Any) -> None:
    theano.config.floatX = "float64"
    x = T.fvector("x")
    result = formula(x)
    assert result.dtype == T.grad(result.sum(), x).dtype == "float32"


def test_draws_have_the_dtype_that_is_asked_for() -> None:
    theano.config.floatX = "float64"
    stream = RandomStreams(1)
    assert stream.normal((2,), dtype="float32").dtype == "float32"
    assert stream.uniform((2,), -0.1, 0.1, dtype="float32").dtype == "float32"


# --- dtypes that there are none of --------------------------------------------------------------

MISSING: dict[str, Callable[[Any], Any]] = {
    "an input": lambda dtype: T.matrix(dtype=dtype),
    "tensor": lambda dtype: T.tensor(dtype, (False,)),
    "cast": lambda dtype: T.cast(V, dtype),
    "astype": lambda dtype: V.astype(dtype),
    "zeros": lambda dtype: T.zeros(2, dtype=dtype),
    "arange": lambda dtype: T.arange(3, dtype=dtype),
    "eye": lambda dtype: T.eye(3, dtype=dtype),
    "sum": lambda dtype: V.sum(dtype=dtype),
    "constant": lambda dtype: T.constant(1, dtype=dtype),
    "an array constant": lambda dtype: T.constant(np.zeros(2, dtype)),
    "an array operand": lambda dtype: V * np.zeros(2, dtype),
    "shared": lambda dtype: theano.shared(np.zeros(2, dtype)),
    "a draw": lambda dtype: RandomStreams(1).uniform((2,), dtype=dtype),
    "integers": lambda dtype: RandomStreams(1).random_integers((2,), dtype=dtype),
}


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "uint64", "float16"])
@pytest.mark.parametrize("name", MISSING)
def test_missing_dtypes_are_named(name: str, dtype: str) -> None:
    with pytest.raises(TypeError, match=f"there is no dtype '{dtype}' here") as raised:
        MISSING[name](dtype)
    said = "complex numbers are not supported" in str(raised.value)
    assert said == dtype.startswith("complex")


@pytest.mark.parametrize(
    "make",
    [
        lambda: V * 1j, lambda: T.constant(1j), lambda: theano.shared(1j), lambda: T.alloc(1j, 3),
        lambda: T.switch(V > 0, V, 2 + 0j), lambda: V + np.complex64(1),
        lambda: T.stack([1j, V[0]]),
        lambda: theano.function([V], V)([1j, 2.0]),
        lambda: theano.function([V], V)(np.zeros(2, "complex64")),
        lambda: theano.shared(np.zeros(2, "float32")).set_value(np.zeros(2, "complex64")),
        lambda: theano.function([theano.In(V, value=[1j])], V),
    ],
)  # fmt: skip
def test_complex_numbers(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="complex numbers are not supported"):
        make()


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (lambda: 3, 3),
        (lambda: np.array([2.5, 2.5]), 2.5),
        (lambda: T.constant(4), 4),
        (lambda: T.alloc(T.constant(5), T.lscalar(), 3), 5),
        (lambda: T.zeros_like(T.matrix()), 0),
        (lambda: T.constant(2) * 3 + 1, 7),
        (lambda: T.cast(T.shape_padleft(T.constant(2.5)), "int8"), 2),
        (lambda: T.row().shape[0], 1),
        (lambda: T.specify_shape(T.matrix(), (4, T.lscalar())).shape[0], 4),
    ],
)
def test_a_number_that_is_known(make: Callable[[], Any], number: float) -> None:
    value = T.get_scalar_constant_value(make())
    assert value.shape == ()
    assert value == number
    assert T.extract_constant(make()) == number


def test_numbers_that_are_not_known() -> None:
    x = T.scalar("x")
    for v in (x, x * 0, T.matrix().shape[0], T.constant([1, 2]), V[0]):
        with pytest.raises(T.NotScalarConstantError):
            T.get_scalar_constant_value(v)
        assert T.extract_constant(v) is v
    with pytest.raises(T.EmptyConstantError):
        T.get_scalar_constant_value(T.constant(np.zeros((0, 2))))
    total = T.constant(2) + 3
    for options in ({"elemwise": False}, {"only_process_constants": True}):
        with pytest.raises(T.NotScalarConstantError):
            T.get_scalar_constant_value(total, **options)


def test_the_length_of_a_vector() -> None:
    assert T.get_vector_length(T.matrix().shape) == 2
    assert T.get_vector_length(T.constant([1, 2, 3])) == 3
    assert T.get_vector_length((1, T.lscalar())) == 2
    with pytest.raises(ValueError, match="is not known before"):
        T.get_vector_length(V)
    with pytest.raises(TypeError, match="takes a vector"):
        T.get_vector_length(T.matrix())


def test_products_with_a_logarithm() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    values = np.array([0.0, 0.5, 2.0]), np.array([0.0, 3.0, 4.0])
    results = theano.function([x, y], [T.xlogx.xlogx(x), T.xlogx.xlogy0(x, y)])(*values)
    np.testing.assert_allclose(results[0], [0, 0.5 * np.log(0.5), 2 * np.log(2)])
    np.testing.assert_allclose(results[1], [0, 0.5 * np.log(3), 2 * np.log(4)])
    slopes = theano.function([x, y], T.grad(T.sum(T.xlogx.xlogy0(x, y)), [x, y]))(*values)
    np.testing.assert_allclose(slopes[0][1:], np.log([3, 4]))
    np.testing.assert_allclose(slopes[1], [0, 0.5 / 3, 0.5])
