"""What Python and NumPy do with variables: truth, iteration, NumPy's functions and operators."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph import protocols
from tinygrad_mnist.graph.api import is_registered

A = np.arange(1.0, 7.0).reshape(2, 3)

# --- truth ----------------------------------------------------------------------------------------


def test_a_variable_is_true() -> None:
    x, y = T.dmatrix("x"), T.dscalar("y")
    for v in (x, y, x.sum(), theano.shared(0.0), T.constant(0), T.eq(x, y), T.lt(x, y), x.shape):
        assert v
    assert (x or y) is x
    assert (None or x) is x


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_a_comparison_is_neither_true_nor_false(compare: Callable[..., Any]) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    for a, b in ((x, y), (x, 1), (1, x), (np.float64(1), x)):
        with pytest.raises(TypeError, match="a symbolic comparison has no truth value"):
            bool(compare(a, b))
    with pytest.raises(TypeError, match="no truth value"):
        max(x, y)
    with pytest.raises(TypeError, match="no truth value"):
        _ = 0 < x < 1


# --- iteration ------------------------------------------------------------------------------------

KNOWN: dict[str, tuple[Callable[[Any], Any], list[int]]] = {
    "shape": (lambda x: x.shape, [2, 3]),
    "last two": (lambda x: x.shape[-2:], [2, 3]),
    "backwards": (lambda x: x.shape[::-1], [3, 2]),
    "all but the first": (lambda x: x.shape[1:], [3]),
    "nothing": (lambda x: x.shape[2:], []),
    "with arithmetic": (lambda x: x.shape[:2] * 2, [4, 6]),
    "joined": (lambda x: T.concatenate([x.shape, [7]]), [2, 3, 7]),
    "stacked": (lambda x: T.stack([x.shape[1], x.shape[0]]), [3, 2]),
    "constant": (lambda x: T.constant([5, 6]), [5, 6]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_has_a_known_length_can_be_unpacked(name: str, device: str) -> None:
    make, expected = KNOWN[name]
    x = T.dmatrix("x")
    parts = [*make(x)]
    found = theano.function([x], [*parts, x.sum()])(A)[:-1]
    assert found == expected
    assert theano.function([x], make(x), on_unused_input="ignore")(A).tolist() == expected


BOUNDS = st.none() | st.integers(-6, 6)


@given(st.builds(slice, BOUNDS, BOUNDS, BOUNDS.filter(lambda step: step != 0)), st.integers(1, 5))
def test_slices_of_a_shape_have_a_known_length(key: slice, ndim: int) -> None:
    x = T.tensor("float64", (False,) * ndim)
    shape = tuple(range(2, ndim + 2))
    parts = list(x.shape[key])
    assert len(parts) == len(shape[key])
    assert [int(part.eval({x: np.ones(shape)})) for part in parts[:2]] == [*shape[key][:2]]


@pytest.mark.parametrize(
    "make",
    [
        T.dscalar,
        T.dvector,
        T.dmatrix,
        lambda: T.dvector()[1:],
        lambda: T.dmatrix().shape[T.lscalar() :],
        lambda: theano.shared(np.ones(3)),
    ],
)
def test_what_has_none_can_not(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="can't be iterated over"):
        list(make())
    with pytest.raises(TypeError, match=r"no len\(\)"):
        len(make())


def test_a_shape_that_is_unpacked_makes_shapes(device: str) -> None:
    x = T.tensor4("x", dtype="float64")
    n, c, h, w = x.shape
    y = x.reshape((n, c * h * w))
    z = x.reshape(x.shape[::-1])
    value = np.arange(24.0).reshape(1, 2, 3, 4)
    flat, turned, zeros = theano.function([x], [y, z, T.zeros((h, w))])(value)
    assert (flat.shape, turned.shape, zeros.shape) == ((1, 24), (4, 3, 2, 1), (3, 4))


# --- NumPy ----------------------------------------------------------------------------------------

ONE = [
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan"),
    *("arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "absolute", "negative", "positive"),
    *("sign", "square", "reciprocal", "floor", "ceil", "trunc", "rint", "deg2rad", "rad2deg"),
    *("degrees", "radians", "isnan", "isinf"),
]
TWO = [
    *("add", "subtract", "multiply", "divide", "true_divide", "floor_divide", "remainder", "mod"),
    *("power", "maximum", "minimum", "arctan2", "less", "less_equal", "greater", "greater_equal"),
]
OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge"]
REDUCTIONS = [
    *("sum", "prod", "mean", "max", "min", "amax", "amin", "var", "std", "argmax", "argmin"),
    *("all", "any", "cumsum"),
]


@pytest.mark.parametrize("name", ONE)
def test_a_ufunc_of_one(name: str) -> None:
    x = T.dmatrix("x")
    ufunc = getattr(np, name)
    y = ufunc(x)
    assert isinstance(y, theano.Variable)
    np.testing.assert_allclose(y.eval({x: A}), ufunc(A), rtol=1e-6)


@pytest.mark.parametrize("name", [*TWO, *OPERATORS])
@pytest.mark.parametrize("other", [A, A[0], 2, 2.5, np.float64(2), np.int64(3), np.array(2.0)])
def test_operands_stay_in_order(name: str, other: Any) -> None:
    x = T.dmatrix("x")
    function = getattr(operator, name, None) or getattr(np, name)
    for y, expected in (
        (function(x, other), function(A, other)),
        (function(other, x), function(other, A)),
    ):
        assert isinstance(y, theano.Variable)
        np.testing.assert_allclose(y.eval({x: A}), expected, rtol=1e-6)


def test_products_of_arrays_with_variables() -> None:
    x = T.dmatrix("x")
    b, c = np.ones((4, 2)), np.ones((3, 4))
    for y, expected in (
        (b @ x, b @ A),
        (x @ c, A @ c),
        (np.dot(b, x), b @ A),
        (np.dot(x, c), A @ c),
    ):
        np.testing.assert_allclose(y.eval({x: A}), expected)


def test_dtypes_stay() -> None:
    x = T.fvector("x")
    for y in (np.float32(2) * x, np.ones(3, "float32") + x, np.add(x, 1), np.exp(x), 2 * x):
        assert y.dtype == "float32"
    assert (np.float64(2) * x).dtype == "float64"


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction(name: str) -> None:
    x = T.dmatrix("x")
    y = getattr(np, name)(x, axis=1)
    np.testing.assert_allclose(y.eval({x: A}), getattr(np, name)(A, axis=1))


def test_functions_of_lists_of_variables() -> None:
    x = T.dmatrix("x")
    for make in (
        lambda x: np.concatenate([x, A], axis=1),
        lambda x: np.stack([x, x], axis=1),
        lambda x: np.where(x > 2, x, 0.0),
        lambda x: np.reshape(x, (3, 2)),
        lambda x: np.transpose(x),
        lambda x: np.clip(x, 2, 4),
        lambda x: np.zeros_like(x),
        lambda x: np.shape(x),
        lambda x: np.ravel(x),
    ):
        np.testing.assert_array_equal(make(x).eval({x: A}), make(A))
    assert np.ndim(x) == 2


def test_every_name_has_a_function() -> None:
    missing = {
        name
        for name in (*protocols._FUNCTIONS, *protocols._OTHER_NAMES)
        if not is_registered(protocols._OTHER_NAMES.get(name, name))
    }
    # Those of sorting and the like are registered with their ops.
    assert missing <= {
        "argsort",
        "cumprod",
        "diagonal",
        "ptp",
        "sort",
        "squeeze",
        "swapaxes",
        "trace",
    }


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: np.hypot(x, x), "np.hypot has no counterpart"),
        (lambda x: np.add.reduce(x), "np.add.reduce has no counterpart"),
        (lambda x: np.linalg.svd(x), "np.svd has no counterpart"),
        (lambda x: np.exp(x, out=np.ones((2, 3))), "takes no option out"),
        (lambda x: np.add(x, 1, dtype="float32"), "takes no option dtype"),
        (np.asarray, "can't make an array of `x`"),
        (lambda x: np.array([x, x]), "can't make an array of `x`"),
        (lambda x: np.float64(x), "no number"),
        (float, "no number"),
        (lambda x: np.bitwise_and(x, 1), "of bools and integers"),
    ],
)
def test_what_has_no_counterpart(use: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        use(T.dmatrix("x"))


def test_an_array_that_a_variable_is_added_to_becomes_symbolic() -> None:
    x = T.dmatrix("x")
    zeros = total = np.zeros((2, 3))
    total += x
    np.testing.assert_array_equal(total.eval({x: A}), A)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(zeros, 0)


def test_an_array_is_never_a_variable() -> None:
    x = T.dmatrix("x")
    assert (x == A) is False
    assert (x == A) is False  # type: ignore[comparison-overlap]
    assert (x != A) is True  # type: ignore[comparison-overlap]
    assert x in [A, x]
    assert np.equal(x, A).eval({x: A}).all()


def test_rounding_of_pythons_math() -> None:
    x = T.dscalar("x")
    assert [f(x).eval({x: 1.5}) for f in (math.ceil, math.floor, math.trunc)] == [2, 1, 1]
