"""Every elementwise function for every dtype: the dtype of the result, and its values, which are
what NumPy computes in that dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.types import DTYPES, INTEGERS

Function = Callable[..., Any]
Rule = Callable[..., str | None]


def is_float(*dtypes: str) -> bool:
    return any(np.dtype(d).kind == "f" for d in dtypes)


# Rules: the dtype of the result by those of the operands; None where they are an error.


def common(*dtypes: str) -> str:
    return np.result_type(*dtypes).name


def numeric(*dtypes: str) -> str | None:
    return None if set(dtypes) == {"bool"} else common(*dtypes)


def upgraded(*dtypes: str) -> str:
    """Theano's upgrade_to_float."""
    wide = ("int32", "int64", "uint32", "float64")
    return common(*("float64" if d in wide else "float32" for d in dtypes))


def quotient(*dtypes: str) -> str:
    return common(*dtypes) if is_float(*dtypes) else "floatX"


def power(*dtypes: str) -> str:
    return "int8" if set(dtypes) == {"bool"} else common(*dtypes)


def truth(*dtypes: str) -> str:
    return "bool"


def bits(*dtypes: str) -> str | None:
    return None if is_float(*dtypes) else common(*dtypes)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


def whole(function: Function) -> Function:
    """Of integers and bool: they stay as they are."""
    return lambda x: function(x) if x.dtype.kind == "f" else x


UNARY: dict[str, tuple[Function, Rule]] = {
    "neg": (np.negative, numeric),
    "abs": (np.abs, common),
    "sgn": (lambda x: np.sign(x.astype("float64")), common),
    "sqr": (np.square, common),
    "identity": (lambda x: x, common),
    "floor": (whole(np.floor), common),
    "ceil": (whole(np.ceil), common),
    "round": (whole(np.rint), common),
    "trunc": (whole(np.trunc), common),
    "sqrt": (np.sqrt, upgraded),
    "exp": (np.exp, upgraded),
    "log": (np.log, upgraded),
    "log1p": (np.log1p, upgraded),
    "sigmoid": (sigmoid, upgraded),
    "tanh": (np.tanh, upgraded),
    "softplus": (softplus, upgraded),
    **{
        name: (getattr(np, name), upgraded)
        for name in (
            *("exp2", "expm1", "log2", "log10", "sin", "cos", "tan", "arctan", "sinh", "cosh"),
            *("arcsin", "arccos", "arcsinh", "arccosh", "arctanh", "deg2rad", "rad2deg"),
        )
    },
    "inv": (lambda x: 1 / x, upgraded),
    "erf": (np.vectorize(math.erf), upgraded),
    "erfc": (np.vectorize(math.erfc), upgraded),
    "isnan": (np.isnan, truth),
    "isinf": (np.isinf, truth),
    "invert": (np.invert, bits),
}
BINARY: dict[str, tuple[Function, Rule]] = {
    "add": (np.add, common),
    "sub": (np.subtract, numeric),
    "mul": (np.multiply, common),
    "true_div": (np.true_divide, quotient),
    "int_div": (np.floor_divide, common),
    "mod": (np.mod, common),
    "pow": (np.power, power),
    "arctan2": (np.arctan2, upgraded),
    "maximum": (np.maximum, common),
    "minimum": (np.minimum, common),
    "eq": (np.equal, truth),
    "neq": (np.not_equal, truth),
    "lt": (np.less, truth),
    "le": (np.less_equal, truth),
    "gt": (np.greater, truth),
    "ge": (np.greater_equal, truth),
    "and_": (np.bitwise_and, bits),
    "or_": (np.bitwise_or, bits),
    "xor": (np.bitwise_xor, bits),
}
STARTS = {"arcsin": 0, "arccos": 0, "arctanh": 0}  # 1 for all others
SPECIAL_FUNCTIONS = {
    "sigmoid": T.nnet.sigmoid,
    "softplus": T.nnet.softplus,
    "identity": lambda x: x.copy(),
}


def symbolic(name: str) -> Function:
    return SPECIAL_FUNCTIONS.get(name) or getattr(T, name)  # type: ignore[return-value]


def values(dtype: str, start: float) -> Any:
    """Positive numbers, small enough for int8; floats have fractions."""
    array = start + np.arange(4)
    return (array + 0.25 if is_float(dtype) else array).astype(dtype)


def expected(function: Function, rule: Rule, arrays: list[Any]) -> Any:
    """NumPy's answer when it computes in the dtype of the result; truths in the operands'."""
    dtype = rule(*(a.dtype.name for a in arrays))
    dtype = theano.config.floatX if dtype == "floatX" else dtype
    compute = common(*(a.dtype.name for a in arrays)) if dtype == "bool" else dtype
    if compute == "bool" and rule is not truth and rule is not bits:
        compute = "int64"  # where NumPy has another idea of bools
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(function(*(a.astype(compute) for a in arrays))).astype(dtype)


def compare(result: Any, exact: Any, what: tuple[str, ...]) -> None:
    assert result.dtype == exact.dtype, what
    eps = np.finfo(exact.dtype).eps if is_float(exact.dtype.name) else 0
    np.testing.assert_allclose(result, exact, rtol=4 * eps, err_msg=str(what))


@pytest.mark.parametrize("name", UNARY)
def test_unary(device: str, name: str) -> None:
    function, rule = UNARY[name]
    dtypes = [d for d in DTYPES if rule(d) is not None]
    inputs = [T.vector(d, d) for d in dtypes]
    arrays = [values(d, STARTS.get(name, 1)) for d in dtypes]
    results = evaluate(device, inputs, [symbolic(name)(x) for x in inputs], *arrays)
    for dtype, array, result in zip(dtypes, arrays, results, strict=True):
        compare(result, expected(function, rule, [array]), (name, dtype))
    for dtype in set(DTYPES) - set(dtypes):
        with pytest.raises(TypeError, match="not"):
            symbolic(name)(T.vector("x", dtype))


@pytest.mark.parametrize("float_x", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_binary(device: str, name: str, float_x: str) -> None:
    theano.config.floatX = float_x
    function, rule = BINARY[name]
    pairs = [(a, b) for a in DTYPES for b in DTYPES if rule(a, b) is not None]
    left = {d: T.vector(f"{d} left", d) for d in DTYPES}
    right = {d: T.vector(f"{d} right", d) for d in DTYPES}
    arrays = [values(d, 2) for d in DTYPES], [values(d, 1) for d in DTYPES]
    of = [dict(zip(DTYPES, side, strict=True)) for side in arrays]
    outputs = [symbolic(name)(left[a], right[b]) for a, b in pairs]
    inputs = [*left.values(), *right.values()]
    flat = [*arrays[0], *arrays[1]]
    results = evaluate(device, inputs, outputs, *flat, on_unused_input="ignore")
    for (a, b), result in zip(pairs, results, strict=True):
        compare(result, expected(function, rule, [of[0][a], of[1][b]]), (name, a, b))
    for a, b in {(a, b) for a in DTYPES for b in DTYPES} - set(pairs):
        with pytest.raises(TypeError, match="not"):
            symbolic(name)(left[a], right[b])


@pytest.mark.parametrize("to", DTYPES)
def test_cast(device: str, to: str) -> None:
    inputs = [T.vector(d, d) for d in DTYPES]
    arrays = [values(d, 0) for d in DTYPES]
    results = evaluate(device, inputs, [T.cast(x, to) for x in inputs], *arrays)
    for array, result in zip(arrays, results, strict=True):
        compare(result, array.astype(to), (array.dtype.name, to))


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_and_shared_variables(device: str, dtype: str) -> None:
    """A shared variable takes on an input of its dtype."""
    x = T.vector("x", dtype)
    array = values(dtype, 0)
    shared = theano.shared(np.zeros(4, dtype))
    before = evaluate(device, [x], shared, array, updates=[(shared, x)], on_unused_input="ignore")
    assert before.dtype == shared.get_value().dtype == dtype
    np.testing.assert_array_equal(before, np.zeros(4))
    np.testing.assert_array_equal(shared.get_value(), array)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_at_their_edges(device: str, dtype: str) -> None:
    """They wrap around as NumPy's, also within chains that become one kernel call; `//` and `%` by
    0 give 0."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    edges = np.array([low, low + 1, max(low, -1), 0, 1, 3, high - 1, high], dtype)
    a, b = (g.ravel() for g in np.meshgrid(edges, edges))
    x, y = T.vector("x", dtype), T.vector("y", dtype)

    def forms(x: Any, y: Any, one: Any) -> list[Any]:
        return [
            x + y, x - y, x * y, -x, abs(x), x // y, x % y, x // (y - y), x % (x - x),
            (x * y + x) // y, (x + one) // (one + one), (x - y) % (x + y), (x * x).sum(),
            (x + y).max(), (x * y).min(), (x * y).argmax(), ((x - one) * y).prod(), (x * y)[2:5],
        ]  # fmt: skip

    with np.errstate(all="ignore"):
        exact = forms(a, b, np.ones((), dtype))
        exact[12], exact[16] = (a * a).sum(dtype="int64"), ((a - 1) * b).prod(dtype="int64")
    outputs = forms(x, y, T.constant(1, dtype))
    for number, (result, value) in enumerate(
        zip(evaluate(device, [x, y], outputs, a, b), exact, strict=True)
    ):
        assert result.dtype == value.dtype, number
        np.testing.assert_array_equal(result, value, err_msg=str(number))
