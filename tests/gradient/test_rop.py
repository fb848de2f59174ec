"""`Rop` and `Lop` against finite differences, for every case of the tests of ops."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.expressions import STEP, AnyArray, Case, evaluate
from helpers.op_cases import cases_of_ops, directional_difference

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import function, gradient
from tinygrad_mnist.errors import ArgumentError, DisconnectedInputError, GraphTypeError

_rng = np.random.default_rng(17)
CASES = cases_of_ops()


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rop_of_an_op(device: str, case: Case) -> None:
    inputs, arguments = case.inputs("float64"), case.arguments("float64")
    floats = [v for v in inputs if v.type.is_float]
    rng = np.random.default_rng(17)
    directions = [rng.normal(size=a.shape) if a.dtype.kind == "f" else None for a in arguments]
    points = [T.tensor("float64", v.broadcastable) for v in floats]
    product = T.Rop(case.expression(*inputs), floats, points)
    values = [*arguments, *(d for d in directions if d is not None)]
    result = evaluate(device, [*inputs, *points], product, *values, on_unused_input="ignore")
    expected = directional_difference(case, arguments, directions)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_forms_of_rop(device: str) -> None:
    x, w, dx, dw = T.dvector("x"), T.dmatrix("w"), T.dvector("dx"), T.dmatrix("dw")
    y = T.tanh(T.dot(w, x))
    functions = (y, T.sum(x**2), T.exp(y))
    values = [_rng.normal(size=s) for s in ((3,), (2, 3), (3,), (2, 3))]
    of_y, of_sum, of_exp = T.Rop(functions, [x, w], [dx, dw])
    results = evaluate(device, [x, w, dx, dw], [of_y, of_sum, of_exp], *values)
    vx, vw, vdx, vdw = values
    slope = (1 - np.tanh(vw @ vx) ** 2) * (vw @ vdx + vdw @ vx)
    np.testing.assert_allclose(results[0], slope)
    np.testing.assert_allclose(results[1], 2 * vx @ vdx)
    np.testing.assert_allclose(results[2], np.exp(np.tanh(vw @ vx)) * slope)
    assert isinstance(T.Rop(functions, x, dx), tuple)
    assert isinstance(T.Rop(list(functions), [x], [dx]), list)
    assert isinstance(T.Rop([y], x, dx), list)
    (same,) = evaluate(device, [x, dx], [T.Rop(x, x, dx)], vx, vdx, on_unused_input="ignore")
    np.testing.assert_array_equal(same, vdx)


def test_forms_of_lop(device: str) -> None:
    x, w, u, v = T.dvector("x"), T.dmatrix("w"), T.dvector("u"), T.dscalar("v")
    y = T.tanh(T.dot(w, x))
    # One of the functions leads to the other, and one is there twice.
    functions = [y, T.sum(y**2), y]
    by_x, by_w = T.Lop(functions, (x, w), [u, v, u])
    values = [_rng.normal(size=s) for s in ((3,), (2, 3), (2,), ())]
    results = evaluate(device, [x, w, u, v], [by_x, by_w], *values)
    vx, vw, vu, vv = values
    of_y = np.tanh(vw @ vx)
    inner = (2 * vu + 2 * vv * of_y) * (1 - of_y**2)
    np.testing.assert_allclose(results[0], inner @ vw)
    np.testing.assert_allclose(results[1], np.outer(inner, vx))
    assert T.Lop(y, x, u).type == x.type
    assert isinstance(T.Lop(y, [x], u), list)
    assert isinstance(T.Lop(y, (x,), [u]), tuple)


def test_rop_where_gradients_cancel(device: str) -> None:
    """Below a choice the gradient of 1, -1 is 0, but the derivatives are not."""
    x, dx = T.dscalar("x"), T.dscalar("dx")
    y = T.switch(x > 0, T.log(x) * x, x)
    product = T.Rop(T.stack([y, -y]), x, dx)
    result = evaluate(device, [x, dx], product, 2.0, 3.0)
    np.testing.assert_allclose(result, 3 * (np.log(2) + 1) * np.array([1, -1]))
    result = evaluate(device, [x, dx], product, -2.0, 3.0)
    np.testing.assert_array_equal(result, [3, -3])


def test_rop_of_what_is_not_connected_is_zero(device: str) -> None:
    x, w, dx = T.dvector("x"), T.dvector("w"), T.dvector("dx")
    functions = [w * 2, T.floor(x), T.cast(x, "int32"), x * w]
    results = T.Rop(functions, x, dx)
    assert all(r.type.is_float for r in results)
    values = [_rng.normal(size=3) for _ in range(3)]
    zeros = evaluate(device, [x, w, dx], results, *values)
    for zero in zeros[:3]:
        np.testing.assert_array_equal(zero, np.zeros(3))
    np.testing.assert_allclose(zeros[3], values[1] * values[2])


def test_product_of_a_hessian_and_a_vector(device: str) -> None:
    x, v = T.dvector("x"), T.dvector("v")
    cost = T.sum(T.exp(x) * x[::-1]) + T.prod(x)
    product = T.Rop(T.grad(cost, x), x, v)
    whole = T.dot(T.hessian(cost, x), v)
    by_grad = T.grad(T.sum(T.grad(cost, x) * v), x)
    values = _rng.normal(size=4), _rng.normal(size=4)
    one, other, third = evaluate(device, [x, v], [product, whole, by_grad], *values)
    np.testing.assert_allclose(one, other, rtol=1e-10)
    np.testing.assert_allclose(one, third, rtol=1e-10)


def test_rop_can_be_differentiated(device: str) -> None:
    x, v = T.dvector("x"), T.dvector("v")
    product = T.Rop(T.sin(x) * x[0], x, v)
    gradient_ = T.grad(T.sum(product), x)
    values = _rng.normal(size=3), _rng.normal(size=3)

    def numpy_product(at: AnyArray) -> float:
        return float(np.sum(np.cos(at) * values[1] * at[0] + np.sin(at) * values[1][0]))

    steps = np.eye(3) * STEP
    expected = [
        (numpy_product(values[0] + s) - numpy_product(values[0] - s)) / (2 * STEP) for s in steps
    ]
    result = evaluate(device, [x, v], gradient_, *values)
    np.testing.assert_allclose(result, expected, rtol=1e-7)


def test_rop_of_what_is_linear_has_the_inputs_that_fold_away() -> None:
    """As in Theano, though the values of `w` have no say in the derivative."""
    x, w, v = T.dvector("x"), T.dmatrix("w"), T.dmatrix("v")
    product = function([w, v, x], T.Rop(T.dot(x, w), w, v))
    np.testing.assert_array_equal(product([[1, 1]], [[2, 3]], [5]), [10, 15])
    both = function([x, w, v], T.Rop([x[0] * w, T.sum(x)], w, v))
    of_matrix, of_sum = both([4], [[1, 1]], [[2, 3]])
    np.testing.assert_array_equal(of_matrix, [[8, 12]])
    assert of_sum == 0
    theirs = T.Rop(w, w, v)
    assert theirs is v
    assert not v.mentions


def test_wrong_arguments() -> None:
    x, w, i = T.dvector("x"), T.dmatrix("w"), T.ivector("i")
    y = T.dot(w, x)
    with pytest.raises(ArgumentError, match="eval_points has 1 variables for 2"):
        T.Rop(y, [x, w], [x])
    with pytest.raises(ArgumentError, match="eval_points has 2 variables for 1"):
        T.Lop(y, x, [y, y])
    for point in (w, i):
        with pytest.raises(GraphTypeError, match="it must be a float with as many dimensions"):
            T.Rop(y, x, point)
        with pytest.raises(GraphTypeError, match="it must be a float with as many dimensions"):
            T.Lop(y, x, point)
    with pytest.raises(GraphTypeError, match="eval_points is"):
        T.Rop(y, [x], x)
    with pytest.raises(DisconnectedInputError, match="does not depend on i"):
        T.Lop(y, i, y)
    assert gradient.Rop is T.Rop
    assert gradient.Lop is T.Lop
