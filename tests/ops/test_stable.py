"""The ops that the stabilisation of graphs makes: values and gradients, as those of other ops."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.expressions import Case, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.graph.variables import Op
from tinygrad_mnist.ops.elementwise import eq, log
from tinygrad_mnist.ops.share import LARGEST, LOG_REST, LOG_SHARE, LOG_SUM_EXP, REST, SHARE
from tinygrad_mnist.ops.stable import (
    EXP_DIFFERENCE,
    LOGADDEXP,
    MUL_EXP,
    MUL_LOG,
    hyperbolic_tangent,
    logistic,
    norm_root,
)

_rng = np.random.default_rng(23)
X, Y = _rng.normal(size=(2, 3, 4)) * 2
ROW = _rng.normal(size=(1, 4))
POSITIVE = _rng.uniform(0.5, 2, size=(3, 4))
CUBE = _rng.normal(size=(2, 3, 4)) * 3


def softmax(x, axes):  # type: ignore[no-untyped-def]
    powers = np.exp(x)
    return powers / powers.sum(axis=axes, keepdims=True)


def mul_log(y, x):  # type: ignore[no-untyped-def]
    return MUL_LOG(y, log(x), eq(x, 0))


CASES = [
    Case("logistic", logistic, lambda x: 1 / (1 + np.exp(-x)), (X,)),
    Case("hyperbolic_tangent", hyperbolic_tangent, np.tanh, (X,)),
    Case("norm_root", norm_root, np.sqrt, (POSITIVE,)),
    Case("logaddexp", LOGADDEXP, np.logaddexp, (X, Y)),
    Case("logaddexp of a row", LOGADDEXP, np.logaddexp, (X, ROW), stretched=(1,)),
    Case("logaddexp far apart", LOGADDEXP, np.logaddexp, (X * 1000, Y * 1000), gradient=False),
    Case("exp_difference", EXP_DIFFERENCE, lambda x, y: np.exp(x) - np.exp(y), (X, Y)),
    Case("exp_difference, near", EXP_DIFFERENCE, lambda x, y: np.exp(y) * np.expm1(x - y),
         (X, X + np.float32(1) / 1024), gradient=False, tolerance=1e-3),
    Case("exp_difference of a row", EXP_DIFFERENCE, lambda x, y: np.exp(x) - np.exp(y), (ROW, Y),
         stretched=(0,)),
    Case("mul_log", mul_log, lambda y, x: y * np.log(x), (X, POSITIVE)),
    Case("mul_log of a row", mul_log, lambda y, x: y * np.log(x), (ROW, POSITIVE), stretched=(0,)),
    Case("mul_log of zeros", mul_log, lambda y, x: np.array([0, -np.inf, 0, np.nan]),
         (np.array([0.0, 1, 0, 0]), np.array([0, 0, 3, np.inf])), gradient=False),
    Case("mul_exp", MUL_EXP, lambda c, m: c * np.exp(m), (X, Y)),
    Case("mul_exp of a row", MUL_EXP, lambda c, m: c * np.exp(m), (X, ROW), stretched=(1,)),
    Case("mul_exp of zeros", MUL_EXP, lambda c, m: np.array([0, 0, np.nan, np.nan, np.inf]),
         (np.array([0.0, 0, 0, 0, 1]), np.array([1e4, -np.inf, np.inf, np.nan, 1e4])),
         gradient=False),
    Case("largest", lambda x: LARGEST(x, axes=(1,)), lambda x: x.max(1, keepdims=True), (X,),
         gradient=False),
    Case("largest of none", lambda x: LARGEST(x, axes=(1,)), lambda x: np.full((3, 1), -np.inf),
         (X[:, :0],), gradient=False),
    Case("log_sum_exp", lambda x: LOG_SUM_EXP(x, x.max(axis=1, keepdims=True), axes=(1,)),
         lambda x: np.log(np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True)), (X,),
         gradient=False),
    *(
        Case(f"{op.name} over {axes}", lambda x, op=op, axes=axes: op(x, axes=axes),
             lambda x, log=log, axes=axes: (np.log(1 - softmax(x, axes)) if log
                                            else 1 - softmax(x, axes)),
             (values,))
        for op, log in ((REST, False), (LOG_REST, True))
        for values, axes in ((X[0], (0,)), (X, (1,)), (X, (0, 1)), (CUBE, (1,)), (CUBE, (0, 2)))
    ),
    *(
        Case(f"{op.name} over {axes}", lambda x, op=op, axes=axes: op(x, axes=axes),
             lambda x, log=log, axes=axes: np.log(softmax(x, axes)) if log else softmax(x, axes),
             (values,))
        for op, log in ((SHARE, False), (LOG_SHARE, True))
        for values, axes in ((X[0], (0,)), (X, (1,)), (X, (0,)), (X, (0, 1)), (CUBE, (1,)),
                             (CUBE, (0, 2)), (CUBE * 20, (2,)))
    ),
]  # fmt: skip

test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize("op", [LARGEST, LOG_SUM_EXP], ids=lambda op: op.name)
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_what_ops_state_and_what_they_become(op: Op, axes: tuple[int, ...]) -> None:
    """Backends compute what an op is lowered to; its own definition in NumPy is the same."""
    for values in (X, np.round(X)):  # with ties
        arrays = [values, values.max(axis=axes, keepdims=True)][: 1 if op is LARGEST else 2]
        inputs = [T.tensor("float64", [n == 1 for n in a.shape]) for a in arrays]
        result = op(*inputs, axes=axes)
        found = theano.function(inputs, result)(*arrays)
        assert op.reference is not None
        (stated,) = op.reference({"axes": axes}, arrays, [ArraySpec("float64", found.shape)])
        np.testing.assert_allclose(stated, found, rtol=1e-14, atol=1e-14)
