"""What a choice leaves out has no say in the gradient: switch, maximum, clip, indices and zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.stable import DTYPES, AnyArray, values_and_slopes

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

Unary = Callable[[Any], Any]
X = np.array([-np.inf, -1e30, -4.0, -1.0, -1e-30, 0.0, 1e-30, 0.25, 1.0, 4.0, 1e30, np.inf, np.nan])
# Functions with an infinite or undefined slope somewhere: with NumPy's derivative.
FUNCTIONS: dict[str, tuple[Unary, Unary]] = {
    "log": (T.log, lambda x: 1 / x),
    "log2": (T.log2, lambda x: 1 / x / np.log(2)),
    "log10": (T.log10, lambda x: 1 / x / np.log(10)),
    "log1p": (lambda x: T.log1p(x - 1), lambda x: 1 / x),
    "sqrt": (T.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "1 / x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "x ** -1.5": (lambda x: x**-1.5, lambda x: -1.5 * x**-2.5),
    "x ** 0.5": (lambda x: x**0.5, lambda x: 0.5 / np.sqrt(x)),
    "x ** x": (lambda x: x**x, lambda x: x**x * (np.log(x) + 1)),
    "sin(x) / x": (
        lambda x: T.sin(x) / x,
        lambda x: np.where(abs(x) < 1e-3, -x / 3 + 0 / x, np.cos(x) / x - np.sin(x) / x**2),
    ),
    "exp(x)": (lambda x: T.exp(100 * x), lambda x: 100 * np.exp(100 * x)),
    "expm1": (lambda x: T.exp(100 * x) - 1, lambda x: 100 * np.exp(100 * x)),
    "sinh": (lambda x: T.sinh(100 * x), lambda x: 100 * np.cosh(100 * x)),
    "arcsin": (T.arcsin, lambda x: 1 / np.sqrt(1 - x**2)),
    "arccosh": (T.arccosh, lambda x: 1 / np.sqrt(x**2 - 1)),
    "arctanh": (T.arctanh, lambda x: 1 / (1 - x**2)),
    "x * x": (lambda x: x * x, lambda x: 2 * x),
    "x * inf": (lambda x: x * (1 / (x - x)), lambda x: np.inf * x),
    "sigmoid": (T.nnet.sigmoid, lambda x: 0.25 / np.cosh(x / 2) ** 2),
    "tanh": (T.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "log of a log": (lambda x: T.log(T.log(x)), lambda x: 1 / (x * np.log(x))),
    "root of a log": (lambda x: T.sqrt(T.log(x)), lambda x: 0.5 / np.sqrt(np.log(x)) / x),
    "arctan2": (lambda x: T.arctan2(x, x), lambda x: np.where(abs(x) < 1e-15, np.nan, 0)),
}
# Which elements take the function: those where it has a finite value and slope.
WRAPPERS: dict[str, Callable[[Unary, Any], Any]] = {
    "elementwise": lambda f, x: f(x),
    "flip": lambda f, x: f(x[::-1])[::-1],
    "reshape": lambda f, x: f(x.reshape((1, -1))).flatten(),
    "dimshuffle": lambda f, x: f(x.dimshuffle(0, "x"))[:, 0],
    "gather": lambda f, x: f(x)[T.arange(x.shape[0])],
    "joined": lambda f, x: T.concatenate([f(x[:3]), f(x[3:])]),
    "cast": lambda f, x: T.cast(f(x), x.dtype),
    "negated": lambda f, x: -(3 - f(x)) + 3,
    "scaled": lambda f, x: 2 * f(x) / 2,
}
# They choose `a` where c is true; the gradient of the rest is 0.
CHOICES: dict[str, Callable[[Any, Any], Any]] = {
    "switch": lambda c, a: T.switch(c, a, 0.0),
    "otherwise": lambda c, a: T.switch(1 - c, 0.0, a),
    "nested": lambda c, a: T.switch(c, T.switch(c, a, 5.0), 0.0),
    "twice": lambda c, a: T.switch(c, T.switch(c, 1.0, a) * 0 + a, T.switch(c, a, 0.0)),
    "sum": lambda c, a: T.sum(T.switch(c, a, 0.0).reshape((-1, 1)), axis=1),
    "broadcast": lambda c, a: T.mean(T.switch(c.dimshuffle(0, "x"), a.dimshuffle(0, "x"), 0.0)
                                     + T.zeros((1, 2)), axis=1),
    "where": lambda c, a: T.where(c, a, 0.0),
}  # fmt: skip


def taken(slope: Unary, dtype: str) -> tuple[AnyArray, AnyArray]:
    """Which elements of X have a finite slope that is not too large, and that slope."""
    x = X.astype(dtype).astype(float)
    with np.errstate(all="ignore"):
        slopes = slope(x)
    fine = np.isfinite(x) & np.isfinite(slopes) & (np.abs(slopes) < 1e25) & (np.abs(x) < 1e20)
    return fine, np.where(fine, slopes, 0)


def gradient(cost: Unary, values: AnyArray, fine: AnyArray) -> AnyArray:
    x, c = T.vector("x", dtype=values.dtype.name), T.vector("c", dtype="bool")
    slopes = T.grad(T.sum(cost(x, c)), x)
    result: AnyArray = theano.function([x, c], slopes)(values, fine)
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_a_switch_leaves_out(function: str, choice: str, dtype: str) -> None:
    f, slope = FUNCTIONS[function]
    fine, wanted = taken(slope, dtype)
    if function == "x * inf":
        fine, wanted = fine & False, wanted * 0
    result = gradient(lambda x, c: CHOICES[choice](c, f(x)), X.astype(dtype), fine)
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("function", ["log", "1 / x", "sin(x) / x", "exp(x)", "root of a log"])
def test_through_views(function: str, wrapper: str) -> None:
    f, slope = FUNCTIONS[function]
    fine, wanted = taken(slope, "float64")
    for choice in CHOICES.values():
        result = gradient(lambda x, c, choice=choice: choice(c, WRAPPERS[wrapper](f, x)), X, fine)
        np.testing.assert_allclose(result, wanted, rtol=1e-9, atol=1e-9)


def test_on_other_backends(device: str) -> None:
    values, slopes = values_and_slopes(
        lambda x: T.switch(x > 0, T.log(x), T.sqrt(-x)), np.array([-4.0, 4.0]), device
    )
    np.testing.assert_allclose(values, [2, np.log(4)])
    np.testing.assert_allclose(slopes, [-0.25, 0.25])


def test_missing_data() -> None:
    """NaN in the data, and weights that see no NaN."""
    x, w = T.dmatrix("x"), T.dvector("w")
    known = T.switch(T.isnan(x), 0, x * w)
    f = theano.function([x, w], [T.sum(known), *T.grad(T.sum(known**2), [x, w])])
    data = np.array([[1.0, np.nan], [np.nan, 2.0]])
    value, by_x, by_w = f(data, np.array([3.0, 4.0]))
    assert value == 11
    np.testing.assert_allclose(by_x, [[18, 0], [0, 64]])
    np.testing.assert_allclose(by_w, [6, 32])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("cost", "values", "wanted"),
    [
        (lambda x: T.maximum(T.log(x), -5), [0.0, -1.0, 1e-30, 0.5], [0, np.nan, 0, 2]),
        (lambda x: T.minimum(1 / x, 10), [0.0, 1e-30, 2.0], [0, 0, -0.25]),
        (lambda x: T.clip(1 / x, -10, 10), [0.0, 1e-30, 2.0], [0, 0, -0.25]),
        (lambda x: T.minimum(T.exp(x), 1e6), [1000.0, 0.0], [0, 1]),
        (lambda x: T.minimum(T.exp(x) * (x / 2), 1e6), [1000.0, 0.0], [0, 0.5]),
        (lambda x: T.maximum(x, T.sqrt(x)), [0.0, 4.0, 0.25], [1, 1, 1]),
        (lambda x: T.max(T.log(x)), [0.0, 2.0, 1.0], [0, 0.5, 0]),
        (lambda x: T.min(1 / x), [0.0, 2.0, 1.0], [0, -0.25, 0]),
        (lambda x: T.log(x)[1:], [0.0, 2.0, 4.0], [0, 0.5, 0.25]),
        (lambda x: T.sqrt(x)[[1, 2]], [0.0, 4.0, 1.0], [0, 0.25, 0.5]),
        (lambda x: T.set_subtensor((1 / x)[:1], 0.0), [0.0, 2.0], [0, -0.25]),
        (lambda x: abs(x), [-2.0, 0.0, 2.0], [-1, 0, 1]),
        (lambda x: T.nnet.relu(T.log(x)), [0.0, 2.0], [0, 0.5]),
    ],
    ids=range(13),
)
def test_other_choices(cost: Unary, values: list[float], wanted: list[float], dtype: str) -> None:
    x = T.vector("x", dtype=dtype)
    result = theano.function([x], T.grad(T.sum(cost(x)), x))(np.array(values, dtype))
    fine = ~np.isnan(wanted)
    np.testing.assert_allclose(result[fine], np.array(wanted)[fine], rtol=1e-5)


# --- sums that a switch leaves out ----------------------------------------------------------------


def softmax(x: Any) -> Any:
    return T.exp(x) / T.exp(x).sum(axis=1, keepdims=True)


# Of each row: all are read as sums of exponentials, and get ops of their own.
ROWS: dict[str, Unary] = {
    "log(sum(exp))": lambda x: T.log(T.exp(x).sum(axis=1)),
    "log(mean(exp))": lambda x: T.log(T.exp(x).mean(axis=1)),
    "log of three terms": lambda x: T.log(T.exp(x[:, 0]) + T.exp(x[:, 1]) + T.exp(x[:, 2])),
    "log of two terms": lambda x: T.log(T.exp(x[:, 0]) + T.exp(x[:, 1])),
    "softmax": lambda x: softmax(x)[:, 0],
    "its log": lambda x: T.log(softmax(x))[:, 0],
    "1 - softmax": lambda x: (1 - softmax(x))[:, 0],
    "its log ": lambda x: T.log(1 - softmax(x))[:, 1],
    "entropy": lambda x: -T.sum(softmax(x) * T.log(softmax(x)), axis=1),
    "weighted sum": lambda x: T.log((x**2 * T.exp(x)).sum(axis=1)),
    "weighted mean": lambda x: (x * T.exp(x)).sum(axis=1) / T.exp(x).sum(axis=1),
    "shifted": lambda x: T.log(T.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1)),
    "difference": lambda x: T.exp(x[:, 0]) - T.exp(x[:, 1]),
    "log of a difference": lambda x: T.log(T.exp(x[:, 1]) - T.exp(x[:, 0])),
    "product": lambda x: T.prod(1 / (1 + T.exp(-x)), axis=1),
    "attention": lambda x: T.sum(softmax(x) * x, axis=1),
    "of logarithms": lambda x: T.log(T.exp(T.log(T.exp(x))).sum(axis=1)),
}
BAD_ROWS = [
    [-np.inf, -np.inf, -np.inf],
    [np.nan, np.nan, np.nan],
    [np.inf, np.inf, np.inf],
    [np.nan, 1.0, -np.inf],
    [np.inf, -np.inf, 0.0],
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ROWS)
def test_rows_that_a_switch_leaves_out(form: str, dtype: str) -> None:
    x, b = T.matrix("x", dtype=dtype), T.vector("b", dtype="bool")
    values = np.array([[1, 2, 3], *BAD_ROWS, [-1, 0, 0.5]]).astype(dtype)
    fine = np.isin(np.arange(len(values)), [0, len(values) - 1])
    choices: list[Callable[[Any, Any], Any]] = [
        lambda b, e: T.switch(b, e, 0),
        lambda b, e: T.switch(b, T.switch(b, e, 1), 0) * 1.0,
        lambda b, e: T.switch(b.dimshuffle(0, "x"), e.dimshuffle(0, "x"), 0)[::-1],
    ]
    (alone,) = theano.function([x], [T.grad(T.sum(ROWS[form](x)), x)])(values[fine])
    for choose in choices:
        slope = T.grad(T.sum(choose(b, ROWS[form](x))), x)
        result = theano.function([x, b], slope)(values, fine)
        np.testing.assert_allclose(result[fine], alone, 1e-6)
        np.testing.assert_array_equal(result[~fine], 0)


# --- zeros ----------------------------------------------------------------------------------------

NORMS: dict[str, Unary] = {
    "sqrt(sum(sqr(x)))": lambda x: T.sqrt(T.sum(T.sqr(x))),
    "sqrt(sum(x ** 2))": lambda x: T.sqrt((x**2).sum()),
    "sum(x * x) ** 0.5": lambda x: T.sum(x * x) ** 0.5,
    "of a column": lambda x: T.sum(T.sqrt(T.sum(x.reshape((-1, 1)) ** 2, axis=0))),
    "mean": lambda x: T.sqrt(T.mean(T.sqr(x))),
    "two terms": lambda x: T.sqrt(T.sqr(x[0]) + T.sqr(x[1])),
    "half": lambda x: T.sqrt(0.5 * T.sum(x**2) / 3),
    "sqrt(sqr(x))": lambda x: T.sum(T.sqrt(T.sqr(x))),
    "std": T.std,
}


@pytest.mark.parametrize("norm", NORMS)
def test_norms_have_gradient_0_at_0(norm: str) -> None:
    x = T.dvector("x")
    f = theano.function([x], T.grad(NORMS[norm](x), x))
    np.testing.assert_array_equal(f(np.zeros(3)), 0)
    value = np.array([0.5, -2.0, 1.0])
    g = theano.function([x], NORMS[norm](x))
    for i in range(3):
        step = np.eye(3)[i] * 1e-6
        slope = (g(value + step) - g(value - step)) / 2e-6
        np.testing.assert_allclose(f(value)[i], slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_logarithms_of_0_times_0(dtype: str) -> None:
    p = np.array([0.0, 0.0, 1.0, 1.0, 0.5]).astype(dtype)
    t = np.array([0.0, 1.0, 1.0, 0.0, 0.5]).astype(dtype)
    x, y = T.vector("x", dtype=dtype), T.vector("y", dtype=dtype)
    entropies = [
        -(y * T.log(x) + (1 - y) * T.log(1 - x)),
        -y * T.log(x) - (1 - y) * T.log1p(-x),
        T.nnet.binary_crossentropy(x, y),
    ]
    for entropy in entropies:
        f = theano.function([x, y], [entropy, T.grad(T.sum(entropy), x)])
        value, slope = f(p, t)
        np.testing.assert_allclose(value, [0, np.inf, 0, np.inf, np.log(2)], rtol=1e-6)
        np.testing.assert_allclose(slope, [1, -np.inf, -1, np.inf, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (lambda x: x * T.log(x), 0),
        (lambda x: -x * T.log(x), 0),
        (lambda x: T.log(x) * x / 2, 0),
        (lambda x: x * T.log2(x), 0),
        (lambda x: x * (T.log(x) - T.log(2.0)), 0),
        (lambda x: x * T.log(x / 2), 0),
        (lambda x: (x * T.log(x[::-1])[::-1])[:1], 0),
        (lambda x: x * T.log(x - 1), np.nan),
        (lambda x: 1 * T.log(x), -np.inf),
        (lambda x: 2 * T.log(x), -np.inf),
    ],
    ids=range(10),
)
def test_0_times_the_logarithm_of_0(expression: Unary, value: float) -> None:
    x = T.dvector("x")
    np.testing.assert_array_equal(theano.function([x], expression(x))([0.0]), [value])


@pytest.mark.parametrize("n_zeros", [0, 1, 2])
def test_gradient_of_a_product_with_zeros(n_zeros: int) -> None:
    values = np.array([2.0, 3.0, 0.5, 7.0])
    values[:n_zeros] = 0
    wanted = [np.prod(np.delete(values, i)) for i in range(4)]
    x = T.dvector("x")
    np.testing.assert_allclose(theano.function([x], T.grad(T.prod(x), x))(values), wanted)
    by_hand = x[0] * x[1] * x[2] * x[3]
    np.testing.assert_allclose(theano.function([x], T.grad(by_hand, x))(values), wanted)


# --- the mathematics' own -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "values", "wanted"),
    [
        (T.log, [0.0, -1.0, np.inf], [-np.inf, np.nan, np.inf]),
        (lambda x: 1 / x, [0.0, np.inf], [np.inf, 0]),
        (lambda x: T.exp(x), [1e4, -1e4, np.inf], [np.inf, 0, np.inf]),
        (lambda x: 1 / (1 + T.exp(-x)), [np.inf, -np.inf, np.nan], [1, 0, np.nan]),
        (lambda x: T.log(1 + T.exp(x)), [np.inf, -np.inf, np.nan], [np.inf, 0, np.nan]),
        (lambda x: T.log(T.exp(x) + T.exp(2 * x)), [np.inf, -np.inf], [np.inf, -np.inf]),
        (lambda x: T.log(T.exp(x).sum(keepdims=True)), [-np.inf, -np.inf], [-np.inf]),
        (lambda x: T.log(T.exp(x).sum(keepdims=True)), [-np.inf, 1.0], [1]),
        (lambda x: T.log(T.exp(x).sum(keepdims=True)), [np.inf, 1.0], [np.inf]),
        (lambda x: T.log(1 - T.exp(x)), [0.0, 1.0], [-np.inf, np.nan]),
        (lambda x: T.log(T.exp(x) - 1), [0.0, -1.0], [-np.inf, np.nan]),
        (lambda x: 1 / (T.exp(x) - 1), [0.0], [np.inf]),
        (lambda x: x / x, [0.0, np.nan], [np.nan, np.nan]),
        (lambda x: x - x, [np.inf, np.nan], [np.nan, np.nan]),
        (lambda x: T.sqrt(x), [-1.0, 0.0], [np.nan, 0]),
        (lambda x: T.exp(x) / T.exp(x), [np.nan], [np.nan]),
        (lambda x: T.log1p(x), [-1.0, -2.0], [-np.inf, np.nan]),
        (lambda x: T.exp(x) - T.exp(-x), [1e4, -1e4], [np.inf, -np.inf]),
    ],
    ids=range(18),
)
def test_real_infinities_stay(
    expression: Unary, values: list[float], wanted: list[float], device: str
) -> None:
    result, _ = values_and_slopes(expression, np.array(values), device)
    np.testing.assert_array_equal(result, wanted)


def test_the_gradient_of_a_root_at_0_is_infinite() -> None:
    _, slope = values_and_slopes(T.sqrt, np.array([0.0]))
    assert slope == np.inf
    _, slope = values_and_slopes(T.log, np.array([0.0]))
    assert slope == np.inf
    _, slope = values_and_slopes(lambda x: x * T.log(x), np.array([0.0]))
    assert slope == -np.inf
