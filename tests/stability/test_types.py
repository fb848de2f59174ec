"""What the stability pass keeps: dtypes, shapes, and results where the program's are numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers.random_types import Expression, inputs
from helpers.stable import AnyArray, as_written

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.stability import stabilise


@pytest.fixture(params=["float32", "float64"])
def float_x(request: pytest.FixtureRequest) -> Iterator[str]:
    before = config.floatX
    config.floatX = request.param
    yield request.param
    config.floatX = before


def both(seed: int, values: dict[str, AnyArray]) -> tuple[AnyArray, AnyArray]:
    """An expression as it is written, and in its stable form."""
    drawn = Expression(seed)
    leaves = list(drawn.inputs.values())
    with as_written():
        plain = theano.function(leaves, drawn.value, on_unused_input="ignore")(**values)
    return plain, theano.function(leaves, drawn.value, on_unused_input="ignore")(**values)


def test_types_stay(float_x: str) -> None:
    """Those of values and of gradients."""
    for seed in range(150):
        drawn = Expression(seed)
        v, floats = drawn.value, [x for x in drawn.inputs.values() if x.type.is_float]
        variables = [v]
        if v.type.is_float:
            variables += T.grad(T.sum(v), floats, disconnected_inputs="ignore")
            for x, g in zip(floats, variables[1:], strict=True):
                assert (g.dtype, g.broadcastable) == (x.dtype, x.broadcastable), seed
        for old, new in zip(variables, stabilise(variables), strict=True):
            assert (new.dtype, new.broadcastable) == (old.dtype, old.broadcastable), seed


def test_results_stay(float_x: str) -> None:
    """Wherever the program's are finite. Much is computed in float32, and cancels."""
    for seed in range(80):
        plain, stable = both(seed, inputs(seed))
        assert (plain.dtype, plain.shape) == (stable.dtype, stable.shape), seed
        fine = np.isfinite(plain)
        np.testing.assert_allclose(stable[fine], plain[fine], 2e-3, 1e-4, err_msg=str(seed))


def test_nan_stays() -> None:
    """Wherever a NaN in the data makes the program's result NaN."""
    for seed in range(100):
        values = inputs(seed)
        for name in "il":  # no logarithm of 0, which may count as finite beside 0
            values[name] = values[name] + 1
        values["d"][0, 0] = values["f"][1, 2] = values["f_row"][0, 1] = np.nan
        plain, stable = both(seed, values)
        if stable.dtype.kind == "f":
            assert np.isnan(stable[np.isnan(plain)]).all(), seed


# --- how programs use results ---------------------------------------------------------------------

F = T.fvector("f")
WIDENED: dict[str, Any] = {
    "root of a square": lambda x: T.sqr(x) ** np.float64(0.5),
    "norm": lambda x: T.sum(T.sqr(x), keepdims=True) ** np.float64(0.5) + 0 * x,
    "power": lambda x: T.exp(x) ** np.int64(-2),
    "root": lambda x: T.exp(x) ** np.float64(0.5),
    "power by a variable": lambda x: T.exp(x) ** T.cast(x, "float64"),
    "log of a power": lambda x: T.log(T.exp(x) ** np.int64(2)),
    "tanh": lambda x: np.float64(1) + T.tanh(x),
    "tanh of an integer": lambda x: np.float64(1) + T.tanh(T.cast(100 * x, "int8")),
    "quotient": lambda x: np.float64(0.1) / T.exp(x),
    "log2": lambda x: T.log2(np.float64(0.1) * T.exp(x)),
}
KEPT: dict[str, Any] = {
    "two terms": lambda x: T.log(3 * T.exp(x) + T.exp(-x)),
    "one term": lambda x: T.log(3 * T.exp(x)),
    "log2": lambda x: T.log2(T.exp(x) + T.exp(2 * x)),
    "exp2": lambda x: T.log(T.exp2(x)),
    "root": lambda x: (3 * T.exp(x)) ** -0.5,
    "odds": lambda x: 1 / (3 + T.exp(-x)),
    "sum": lambda x: T.log(T.sum(3 * T.exp(x), keepdims=True)) + 0 * x,
    "weighted": lambda x: T.log(T.sum(x * T.exp(x), keepdims=True)) + 0 * x,
    "tanh": lambda x: (T.exp(x) - T.exp(-x)) / (T.exp(x) + T.exp(-x)),
}


@pytest.mark.parametrize("form", WIDENED)
def test_a_wider_number_widens(form: str, float_x: str) -> None:
    check_uses(WIDENED[form], "float64")


@pytest.mark.parametrize("form", KEPT)
def test_the_dtype_of_the_data_stays(form: str, float_x: str) -> None:
    check_uses(KEPT[form], "float32")


def check_uses(expression: Any, dtype: str) -> None:
    """Results, sweeps, updates, products of matrices and gradients have the dtype of the type."""
    values = np.array([[0.5, 1.0], [0.75, 0.25]], "float32")
    v = expression(F)
    assert v.dtype == dtype
    with as_written():
        wanted = np.stack([theano.function([F], v)(row) for row in values])
    function = theano.function([F], [v, T.dot(v, v), T.grad(T.sum(v + F), F)])
    result, product, slope = function(values[0])
    assert (result.dtype, product.dtype, slope.dtype) == (dtype, dtype, "float32")
    np.testing.assert_allclose(result, wanted[0], 1e-5)
    np.testing.assert_allclose(theano.function([F], v).sweep(values), wanted, 1e-5)
    state = theano.shared(np.zeros(2, dtype))
    theano.function([F], [], updates=[(state, v)])(values[0])
    np.testing.assert_allclose(state.get_value(), wanted[0], 1e-5)
