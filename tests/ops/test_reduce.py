"""Reductions: values, gradients, dtypes, ties, NaN, empty arrays."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers.arrays import DTYPES
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(2)
A = _rng.normal(size=(2, 3, 4))
P = _rng.uniform(0.5, 1.5, size=(2, 3, 4))
M = _rng.normal(size=(3, 5))
INTS = np.array([[3, -7, 0], [2, 1, -1]], "int32")


def joined_axes(function: Callable[..., Any], x: Any, axes: Any, keep: bool) -> Any:
    """A NumPy function of one axis, applied to several axes as one."""
    axes = sorted(a % x.ndim for a in axes)
    rest = [i for i in range(x.ndim) if i not in axes]
    joined = x.transpose(rest + axes).reshape([x.shape[i] for i in rest] + [-1])
    result = function(joined, axis=-1)
    return np.expand_dims(result, axes) if keep else result


def norm(x: Any, order: float, axes: Any) -> Any:
    size = np.abs(x)
    if np.isinf(order):
        return (np.max if order > 0 else np.min)(size, axes, keepdims=True)
    if order == 0:
        return np.sum(size != 0, axes, keepdims=True)
    return np.sum(size**order, axes, keepdims=True) ** (1 / order)


AXES: list[Any] = [None, 0, 1, -1, (0, 2), (1, 2), (0, 1, 2), ()]
CASES = [
    Case(
        f"{name} over {axis}{' kept' if keep else ''}",
        lambda x, symbolic=symbolic, axis=axis, keep=keep: symbolic(x, axis=axis, keepdims=keep),
        lambda x, f=function, axis=axis, keep=keep: f(x, axis=axis, keepdims=keep),
        (values,),
    )
    for name, symbolic, function, values in (
        ("sum", T.sum, np.sum, A),
        ("prod", T.prod, np.prod, P),
        ("max", T.max, np.max, A),
        ("min", T.min, np.min, A),
        ("mean", T.mean, np.mean, A),
    )
    for axis in AXES
    for keep in (False, True)
]
CASES += [
    Case(
        f"{name} over {axis}{' kept' if keep else ''}",
        lambda x, symbolic=symbolic, axis=axis, keep=keep: symbolic(x, axis=axis, keepdims=keep),
        lambda x, f=function, axis=axis, keep=keep: f(x, axis=axis, keepdims=keep),
        (A,),
    )
    for name, symbolic, function in (("var", T.var, np.var), ("std", T.std, np.std))
    for axis in (None, -2, (0, 2))
    for keep in (False, True)
]
CASES += [
    Case(
        f"{name} over {axis}{' kept' if keep else ''}",
        lambda x, symbolic=symbolic, axis=axis, keep=keep: symbolic(x, axis=axis, keepdims=keep),
        lambda x, f=function, axis=axis, keep=keep: f(x, axis=axis, keepdims=keep),
        (values,),
        dtype=dtype,
        gradient=False,
    )
    for name, symbolic, function, values, dtype in (
        ("argmax", T.argmax, np.argmax, A, "int64"),
        ("argmin", T.argmin, np.argmin, A, "int64"),
        ("all", T.all, np.all, np.round(A), "bool"),
        ("any", T.any, np.any, np.round(A / 2), "bool"),
    )
    for axis in (None, 0, 1, -1)
    for keep in (False, True)
]
CASES += [
    Case(
        f"{name} over {axis}{' kept' if keep else ''}",
        lambda x, symbolic=symbolic, axis=axis, keep=keep: symbolic(x, axis=axis, keepdims=keep),
        lambda x, name=name, axis=axis, keep=keep: joined_axes(getattr(np, name), x, axis, keep),
        (A,),
        dtype="int64",
        gradient=False,
    )
    for name, symbolic in (("argmax", T.argmax), ("argmin", T.argmin))
    for axis in ((0, 2), (-1, 1), (0, 1, 2))
    for keep in (False, True)
]
CASES += [
    Case(
        f"var with ddof {d}",
        lambda x, d=d: T.var(x, 1, ddof=d),
        lambda x, d=d: x.var(1, ddof=d),
        (A,),
    )
    for d in (1, 2)
]
CASES += [
    Case("sum of a transpose", lambda x: T.sum(x.T, axis=0), lambda x: x.T.sum(axis=0), (M,)),
    Case(
        "max of a product",
        lambda x: T.max(x * x, axis=1) * 2,
        lambda x: (x * x).max(axis=1) * 2,
        (M,),
    ),
    Case("sum of a scalar", lambda x: T.sum(x), np.sum, (np.asarray(1.5),)),
    Case(
        "softmax by hand",
        lambda x: T.exp(x) / T.sum(T.exp(x), axis=1, keepdims=True),
        lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
        (M,),
    ),
    Case("sum of a row", lambda x: T.sum(x, axis=0), lambda x: x.sum(axis=0), (M[:1],), (0,)),
    Case(
        "variance",
        lambda x: T.mean((x - T.mean(x)) ** 2),
        lambda x: np.mean((x - x.mean()) ** 2),
        (M,),
    ),
    Case("corrected variance", lambda x: T.var(x, 0, corrected=True), lambda x: x.var(0), (M,)),
    Case("x.std", lambda x: x.std(axis=0, ddof=1), lambda x: x.std(axis=0, ddof=1), (M,)),
    Case("x.var", lambda x: x.var(1, keepdims=True), lambda x: x.var(1, keepdims=True), (M,)),
    Case(
        "x.all, x.any",
        lambda x: T.eq((x > 0).all(axis=0), (x > 0).any(axis=0)),
        lambda x: (x > 0).all(axis=0) == (x > 0).any(axis=0),
        (M,),
        dtype="bool",
        gradient=False,
    ),
    Case(
        "x.argmin",
        lambda x: x.argmin(0),
        lambda x: x.argmin(0),
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case("maximum and its place", lambda x: T.max_and_argmax(x, 1)[0], lambda x: x.max(1), (M,)),
    Case(
        "place of the maximum",
        lambda x: T.max_and_argmax(x, 1, keepdims=True)[1],
        lambda x: x.argmax(1)[:, None],
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case("methods", lambda x: x.sum(0).max(), lambda x: x.sum(0).max(), (M,)),
    Case(
        "x.mean", lambda x: x.mean(axis=1, keepdims=True), lambda x: x.mean(1, keepdims=True), (M,)
    ),
    Case("sum of integers", T.sum, np.sum, (INTS,), dtype="int64", gradient=False),
    Case("prod of integers", T.prod, np.prod, (INTS,), dtype="int64", gradient=False),
    Case("max of integers", T.max, np.max, (INTS,), dtype="int32", gradient=False),
    Case("min of integers", T.min, np.min, (INTS,), dtype="int32", gradient=False),
    Case("mean of integers", T.mean, np.mean, (INTS,), dtype="float64", gradient=False),
    Case("argmax of integers", T.argmax, np.argmax, (INTS,), dtype="int64", gradient=False),
    Case(
        "sum of bools",
        lambda x: T.sum(x > 0),
        lambda x: (x > 0).sum(),
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "mean of bools",
        lambda x: T.mean(T.eq(x, 1)),
        lambda x: (x == 1).mean(),
        (INTS,),
        dtype="float64",
        gradient=False,
    ),
    Case(
        "max of bools",
        lambda x: T.max(x > 0, axis=1),
        lambda x: (x > 0).max(axis=1),
        (M,),
        dtype="bool",
        gradient=False,
    ),
    Case(
        "sum of int8 as int8",
        lambda x: T.sum(T.cast(x, "int8") * 50, dtype="int8"),
        lambda x: (x * 50).sum().astype("int8"),
        (INTS,),
        dtype="int8",
        gradient=False,
    ),
    Case(
        "sum in float64",
        lambda x: T.sum(x, dtype="float64"),
        np.sum,
        (M,),
        dtype="float64",
        gradient=False,
    ),
    Case(
        "mean of integers in float32",
        lambda x: T.mean(x, dtype="float32"),
        np.mean,
        (INTS,),
        dtype="float32",
        gradient=False,
    ),
    *(
        Case(
            f"ptp over {axis}", lambda x, a=axis: T.ptp(x, a), lambda x, a=axis: np.ptp(x, a), (A,)
        )
        for axis in (None, 0, -1)
    ),
    *(
        Case(
            f"{order}-norm over {axes}",
            lambda x, n=order, a=axes: T.norm(x, n, a, True),
            lambda x, n=order, a=axes: norm(x, n, a),
            (A,),
            gradient=order != 0,
        )
        for order in (1, 2, 3, 0.5, 0, np.inf, -np.inf)
        for axes in (None, 1, (0, 2))
    ),
    Case("smallest", T.smallest, lambda *xs: np.minimum.reduce(xs), (A, A[::-1], -A)),
    Case("largest", T.largest, lambda *xs: np.maximum.reduce(xs), (A, A[::-1], -A)),
    Case("largest with a number", lambda x: T.largest(x, 0.1), lambda x: np.maximum(x, 0.1), (M,)),
    Case("smallest of one", T.smallest, lambda x: x, (M,)),
    *(
        Case(
            f"{name} in float64",
            lambda x, name=name: getattr(T, name)(x, 0, acc_dtype="float64"),
            lambda x, name=name: getattr(np, name)(x, 0),
            (A,),
        )
        for name in ("sum", "prod", "mean")
    ),
    Case("no zeros", lambda x: T.prod(x, no_zeros_in_input=True), np.prod, (P,)),
]


test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda x, i: T.sum(x, acc_dtype="float64"), "float32"),
        (lambda x, i: T.sum(x, dtype="float64", acc_dtype="float32"), "float64"),
        (lambda x, i: T.sum(i, acc_dtype="float64"), "int64"),
        (lambda x, i: T.prod(i, dtype="int8", acc_dtype="int64"), "int8"),
        (lambda x, i: T.mean(i, acc_dtype="float32"), "float64"),
        (lambda x, i: T.mean(x, dtype="float32", acc_dtype="float64"), "float32"),
    ],
)
def test_the_dtype_in_which_elements_are_added_up(device: str, make: Any, dtype: str) -> None:
    """The result's dtype doesn't follow from it."""
    x, i = T.fvector("x"), T.bvector("i")
    values = np.array([1, 2, 3])
    arguments = values.astype("float32"), values.astype("int8")
    result = evaluate(device, [x, i], make(x, i), *arguments, on_unused_input="ignore")
    assert result.dtype == dtype
    assert result in (6, 2)


def test_sums_in_float64_are_rounded_once(device: str) -> None:
    x = T.fvector("x")
    values = np.array([1, 2.0**-24, 2.0**-24], "float32")
    result = evaluate(device, [x], T.sum(x, acc_dtype="float64"), values)
    assert result == np.float32(1 + 2.0**-23)


def gradient_of(device: str, function: Callable[..., Any], values: Any) -> Any:
    x = T.tensor("float64", [False] * np.ndim(values), "x")
    return evaluate(device, [x], T.grad(T.sum(function(x)), x), np.asarray(values, "float64"))


def test_max_sends_its_gradient_whole_to_every_winner(device: str) -> None:
    values = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    np.testing.assert_array_equal(
        gradient_of(device, lambda x: T.max(x, axis=1), values), [[0, 1, 1], [1, 1, 1]]
    )
    np.testing.assert_array_equal(gradient_of(device, T.max, values), [[0, 1, 1], [0, 0, 0]])


def test_min_sends_its_gradient_whole_to_every_winner(device: str) -> None:
    values = [[1.0, 3.0, 1.0], [2.0, 2.0, 2.0]]
    np.testing.assert_array_equal(
        gradient_of(device, lambda x: T.min(x, axis=1), values), [[1, 0, 1], [1, 1, 1]]
    )


def test_prod_has_a_gradient_at_zeros(device: str) -> None:
    values = [[2.0, 0.0, 3.0], [0.0, 0.0, 5.0], [1.0, 2.0, 4.0]]
    np.testing.assert_array_equal(
        gradient_of(device, lambda x: T.prod(x, axis=1), values),
        [[0, 6, 0], [0, 0, 0], [8, 4, 2]],
    )


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean", "prod"])
def test_nan_propagates(device: str, name: str) -> None:
    x = T.dmatrix("x")
    values = np.array([[1.0, np.nan, 2.0], [1.0, 2.0, 3.0]])
    result = evaluate(device, [x], getattr(T, name)(x, axis=1), values)
    assert np.isnan(result).tolist() == [True, False]


# With the dtype of the result for other than floats.
FUNCTIONS: list[tuple[str, dict[str, str]]] = [
    ("sum", {"": "int64"}),
    ("prod", {"": "int64"}),
    ("max", {}),
    ("min", {}),
    ("mean", {"": "float64"}),
    ("var", {"": "float64"}),
    ("std", {"": "float64"}),
    ("all", {"": "bool", "f": "bool"}),
    ("any", {"": "bool", "f": "bool"}),
    ("argmax", {"": "int64", "f": "int64"}),
    ("argmin", {"": "int64", "f": "int64"}),
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_reduction_of_every_dtype(device: str, dtype: str) -> None:
    rng = np.random.default_rng(6)
    info = np.iinfo(dtype) if dtype not in ("bool", "float32", "float64") else None
    low, high = (info.min, info.max) if info else (0, 2)
    values = rng.integers(low, high, (3, 4, 2), endpoint=bool(info), dtype="int64").astype(dtype)
    if info is None and dtype != "bool":
        values += rng.normal(size=values.shape).astype(dtype)
    values[1] = 0
    x = T.tensor(dtype, [False] * 3, "x")
    kind = "f" if dtype.startswith("float") else ""
    outputs, expected = [], []
    for axis in (None, 1, -1):
        for name, dtypes in FUNCTIONS:
            outputs.append(getattr(T, name)(x, axis=axis))
            wide = values.astype("float64") if kind or name in ("mean", "var", "std") else values
            exact = wide.astype("int64") if name in ("sum", "prod") and not kind else wide
            wanted = dtypes.get(kind, dtype)
            expected.append((name, np.asarray(getattr(np, name)(exact, axis=axis)), wanted))
    for result, (name, exact, wanted) in zip(
        evaluate(device, [x], outputs, values), expected, strict=True
    ):
        assert result.dtype == wanted, name
        if wanted.startswith("float"):
            np.testing.assert_allclose(
                result, exact, rtol=1e-5 if wanted == "float32" else 1e-12, err_msg=name
            )
        else:
            np.testing.assert_array_equal(result, exact, err_msg=name)


def test_reductions_of_empty_arrays(device: str) -> None:
    x = T.dmatrix("x")
    functions = (T.sum, T.prod, T.all, T.any, T.mean)
    results = evaluate(device, [x], [f(x, axis=0) for f in functions], np.zeros((0, 3)))
    for result, value in zip(results, (0, 1, True, False, np.nan), strict=True):
        np.testing.assert_array_equal(result, [value] * 3)
    for result, symbolic in zip(
        evaluate(device, [x], [f(x, axis=1) for f in functions], np.zeros((0, 3))),
        functions,
        strict=True,
    ):
        assert result.shape == (0,), symbolic


def test_nan_is_true_for_all_and_any(device: str) -> None:
    x = T.dmatrix("x")
    values = np.array([[np.nan, 0.0], [np.nan, 2.0], [0.0, -0.0]])
    both = evaluate(device, [x], [T.all(x, axis=1), T.any(x, axis=1)], values)
    np.testing.assert_array_equal(both, [[False, True, False], [True, True, False]])


def test_argmin_takes_the_first_of_equal_ones_and_nan_first_of_all(device: str) -> None:
    x = T.dmatrix("x")
    values = np.array([[3.0, 1.0, 1.0], [5.0, np.nan, np.nan], [np.inf] * 3])
    result = evaluate(device, [x], T.argmin(x, axis=1), values)
    np.testing.assert_array_equal(result, [1, 1, 0])


def test_argmax_takes_the_first_of_equal_ones_and_nan_first_of_all(device: str) -> None:
    x = T.dmatrix("x")
    values = np.array([[1.0, 3.0, 3.0], [5.0, np.nan, np.nan], [-np.inf] * 3])
    result = evaluate(device, [x], T.argmax(x, axis=1), values)
    np.testing.assert_array_equal(result, [1, 1, 0])


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_max_and_min_of_an_empty_array_are_errors(device: str, name: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], getattr(T, name)(x))
    with pytest.raises(ValueError, match=f"(?s)the {name} of no elements.*made at .*test_reduce"):
        function(np.zeros(0))


def test_a_float32_sum_of_many_is_exact_enough(device: str) -> None:
    x = T.fvector("x")
    values = np.random.default_rng(3).uniform(size=100_000).astype("float32")
    result = evaluate(device, [x], T.sum(x), values)
    assert result == pytest.approx(values.astype("float64").sum(), rel=1e-6)


@pytest.mark.parametrize(
    ("axis", "message"),
    [(2, "axis 2 is out of range"), ((0, -2), "named twice"), (0.5, "'float' object|integer")],
)
def test_bad_axes(axis: Any, message: str) -> None:
    for symbolic in (T.sum, T.var, T.argmin, T.all):
        with pytest.raises(TypeError, match=message):
            symbolic(T.matrix("x"), axis=axis)


def test_a_mean_is_a_float_and_ddof_an_integer() -> None:
    with pytest.raises(TypeError, match="can't be int32"):
        T.mean(T.matrix("x"), dtype="int32")
    with pytest.raises(TypeError, match=r"ddof is 0\.5"):
        T.var(T.matrix("x"), ddof=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("offset", [0.0, 0.1, 1e8, 1e12, -3e15])
def test_the_corrected_variance_where_the_mean_rounds(device: str, offset: float) -> None:
    """The square of the mean's rounding error is taken off again."""
    x = T.dvector("x")
    values = np.random.default_rng(1).normal(size=1000) + offset
    numbers = [Fraction(float(v)) for v in values]
    mean = sum(numbers) / len(numbers)
    exact = float(sum((v - mean) ** 2 for v in numbers) / len(numbers))
    outputs = [T.var(x, corrected=True), T.std(x, corrected=True), T.var(x)]
    corrected, root, plain = evaluate(device, [x], outputs, values)
    assert corrected == pytest.approx(exact, rel=1e-14)
    assert root == pytest.approx(exact**0.5, rel=1e-14)
    if offset == -3e15:
        assert plain != pytest.approx(exact, rel=1e-4)  # so the data does see it
