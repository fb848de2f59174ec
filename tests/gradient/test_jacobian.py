"""Jacobians and Hessians against closed forms and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import STEP, AnyArray, Case, evaluate
from helpers.op_cases import cases_of_ops, directional_difference

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.autodiff import map_rows
from tinygrad_mnist.errors import DisconnectedInputError, GraphTypeError, ShapeError
from tinygrad_mnist.tensor.nnet import conv2d
from tinygrad_mnist.tensor.nnet.bn import batch_normalization_train
from tinygrad_mnist.tensor.signal import pool

_rng = np.random.default_rng(23)


@pytest.fixture(params=["at once", "row by row"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Rows of Jacobians are computed at once, or written out as for an op without a rule."""
    if request.param == "row by row":
        monkeypatch.setattr(map_rows, "batched", lambda rows, results: None)
    return str(request.param)


def differences(function: Callable[[AnyArray], AnyArray], at: AnyArray) -> AnyArray:
    """The Jacobian by central differences; the axes of `at` are last."""
    result = np.empty((*np.shape(function(at)), *at.shape))
    for index in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[index] = STEP
        result[(..., *index)] = (function(at + step) - function(at - step)) / (2 * STEP)
    return result


_W = _rng.normal(size=(4, 3))

# name, expression of a vector or matrix, the same in NumPy, shape of the argument
CASES: list[tuple[str, Callable[[Any], Any], Callable[[AnyArray], AnyArray], tuple[int, ...]]] = [
    ("elementwise", lambda x: T.exp(x) * x, lambda x: np.exp(x) * x, (3,)),
    ("layer", lambda x: T.tanh(T.dot(_W, x)), lambda x: np.tanh(_W @ x), (3,)),
    ("by a matrix", lambda x: T.dot(x, _W[0]), lambda x: x @ _W[0], (2, 3)),
    ("sum of rows", lambda x: T.sum(x**2, axis=1), lambda x: np.sum(x**2, axis=1), (2, 3)),
    ("maximum", lambda x: T.max(x, axis=0), lambda x: np.max(x, axis=0), (2, 3)),
    ("softmax", lambda x: T.nnet.softmax(x), lambda x: np.exp(x) / np.exp(x).sum(), (4,)),
    ("flattened", lambda x: T.dot(x, x.T).flatten(), lambda x: (x @ x.T).ravel(), (2, 3)),
    ("linear", lambda x: 2 * x[::-1], lambda x: 2 * x[::-1], (3,)),
    ("itself", lambda x: x, lambda x: x, (3,)),
    ("gathered", lambda x: x[[0, 2, 0]] ** 2, lambda x: x[[0, 2, 0]] ** 2, (3,)),
    ("joined", lambda x: T.concatenate([x, x**2]), lambda x: np.concatenate([x, x**2]), (2,)),
    ("cumulative", lambda x: T.cumsum(x) ** 2, lambda x: np.cumsum(x) ** 2, (3,)),
    ("one element", lambda x: x[:1] * x[1], lambda x: x[:1] * x[1], (3,)),
    (
        "partly constant",
        lambda x: T.stack([x[0], T.constant(2.0)]),
        lambda x: np.array([x[0], 2]),
        (2,),
    ),
    ("steps", lambda x: T.floor(x) * x, lambda x: np.floor(x) * x, (3,)),
    (
        "kept axis",
        lambda x: T.sum(x**3, keepdims=True),
        lambda x: np.sum(x**3, keepdims=True),
        (3,),
    ),
    ("scalar", lambda x: T.sum(x**3), lambda x: np.sum(x**3), (3,)),
    ("product", lambda x: T.prod(x) * x, lambda x: np.prod(x) * x, (3,)),
    (
        "by an array of three axes",
        lambda x: x.sum(axis=(0, 2)) ** 2,
        lambda x: x.sum((0, 2)) ** 2,
        (2, 3, 2),
    ),
]


@pytest.mark.parametrize(
    ("expression", "in_numpy", "shape"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_jacobian(
    device: str,
    how: str,
    expression: Callable[[Any], Any],
    in_numpy: Callable[[AnyArray], AnyArray],
    shape: tuple[int, ...],
) -> None:
    x = T.tensor("float64", (False,) * len(shape), "x")
    values = _rng.uniform(0.5, 1.5, shape)
    result = evaluate(device, [x], T.jacobian(expression(x), x), values, on_unused_input="ignore")
    expected = differences(in_numpy, values)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("expression", "in_numpy", "shape"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_gradient_through_a_jacobian(
    device: str,
    how: str,
    expression: Callable[[Any], Any],
    in_numpy: Callable[[AnyArray], AnyArray],
    shape: tuple[int, ...],
) -> None:
    x = T.tensor("float64", (False,) * len(shape), "x")
    values = _rng.uniform(0.5, 1.5, shape)
    matrix = T.jacobian(expression(x), x)
    cost = T.sum(matrix**2)
    slope = T.grad(cost, x, disconnected_inputs="ignore")
    with making_functions_for(device):
        value = theano.function([x], cost, on_unused_input="ignore")
        result = theano.function([x], slope, on_unused_input="ignore")(values)
    expected = differences(lambda v: np.asarray(value(v)), values)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_lengths_that_only_a_call_knows(device: str, how: str) -> None:
    x = T.dvector("x")
    with making_functions_for(device):
        f = theano.function([x], [T.jacobian(x**2, x), T.hessian(T.sum(x**3), x)])
    for n in (3, 1, 0, 5):
        values = _rng.normal(size=n)
        first, second = f(values)
        np.testing.assert_allclose(first, np.diag(2 * values))
        np.testing.assert_allclose(second, np.diag(6 * values))


def test_several_variables_and_forms(device: str, how: str) -> None:
    x, w, b = T.dvector("x"), T.dmatrix("w"), T.dscalar("b")
    y = T.tanh(T.dot(w, x) + b)
    by_x, by_w, by_b = T.jacobian(y, (x, w, b))
    values = [_rng.normal(size=s) for s in ((3,), (2, 3), ())]
    results = evaluate(device, [x, w, b], [by_x, by_w, by_b], *values)
    vx, vw, vb = values
    slope = 1 - np.tanh(vw @ vx + vb) ** 2
    np.testing.assert_allclose(results[0], slope[:, None] * vw)
    np.testing.assert_allclose(results[1], np.einsum("i,ij,k->ijk", slope, np.eye(2), vx))
    np.testing.assert_allclose(results[2], slope)
    assert isinstance(T.jacobian(y, (x, w)), tuple)
    assert isinstance(T.jacobian(y, [x, w]), list)
    assert isinstance(T.jacobian(y, [x]), list)
    assert isinstance(T.hessian(T.sum(y), [x]), list)
    assert T.hessian(T.sum(y), x).ndim == 2


def test_shared_variables_and_givens(device: str, how: str) -> None:
    w = theano.shared(_rng.normal(size=(2, 3)), "w")
    x, z = T.dvector("x"), T.dvector("z")
    y = T.tanh(T.dot(w, x))
    values = _rng.normal(size=3)
    with making_functions_for(device):
        plain = theano.function([x], [y, T.jacobian(y, x), T.jacobian(y, w)])
        given = theano.function([z], T.jacobian(y, x), givens={x: 2 * z})
    of_y, by_x, by_w = plain(values)
    slope = 1 - of_y**2
    np.testing.assert_allclose(by_x, slope[:, None] * w.get_value())
    np.testing.assert_allclose(by_w, np.einsum("i,ij,k->ijk", slope, np.eye(2), values))
    np.testing.assert_allclose(given(values / 2), by_x, rtol=1e-12)


# name, a cost, its Hessian in closed form
COSTS: list[tuple[str, Callable[[Any], Any], Callable[[AnyArray], AnyArray]]] = [
    ("cubes", lambda x: T.sum(x**3), lambda x: np.diag(6 * x)),
    ("quadratic form", lambda x: T.dot(T.dot(x, _W.T @ _W), x), lambda x: 2 * _W.T @ _W),
    ("linear", lambda x: T.sum(2 * x), lambda x: np.zeros((3, 3))),
    (
        "log of a sum of exponentials",
        lambda x: T.log(T.sum(T.exp(x))),
        lambda x: np.diag(p := np.exp(x) / np.exp(x).sum()) - np.outer(p, p),
    ),
    ("rectifier", lambda x: T.sum(T.maximum(x, 1) ** 2), lambda x: np.diag(2.0 * (x > 1))),
]


@pytest.mark.parametrize(("cost", "closed"), [c[1:] for c in COSTS], ids=[c[0] for c in COSTS])
def test_hessian(
    device: str, cost: Callable[[Any], Any], closed: Callable[[AnyArray], AnyArray]
) -> None:
    x = T.dvector("x")
    values = _rng.uniform(0.5, 1.5, 3)
    result = evaluate(device, [x], T.hessian(cost(x), x), values, on_unused_input="ignore")
    np.testing.assert_allclose(result, closed(values), rtol=1e-9, atol=1e-12)


def test_newtons_method(device: str) -> None:
    """Steps by the Hessian's inverse, which is solved for outside, find the minimum in a few."""
    x = T.dvector("x")
    cost = T.sum(T.exp(x) - 2 * x) + T.sum(x) ** 2
    with making_functions_for(device):
        f = theano.function([x], [cost, T.grad(cost, x), T.hessian(cost, x)])
    at = np.zeros(4)
    for _ in range(6):
        _, slope, curvature = f(at)
        at = at - np.linalg.solve(curvature, slope)
    assert np.abs(f(at)[1]).max() < 1e-12


def test_third_derivatives(device: str, how: str) -> None:
    x = T.dvector("x")
    third = T.jacobian(T.hessian(T.sum(x**4) + T.prod(x), x).flatten(), x)
    values = _rng.uniform(0.5, 1.5, 3)
    result = evaluate(device, [x], third, values).reshape(3, 3, 3)
    expected = np.zeros((3, 3, 3))
    for i, j, k in np.ndindex(3, 3, 3):
        expected[i, j, k] = len({i, j, k}) == 3
    expected[np.diag_indices(3, ndim=3)] = 24 * values
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)


def test_consider_constant_and_disconnected(device: str) -> None:
    x, w = T.dvector("x"), T.dvector("w")
    factor = T.exp(x)
    result = evaluate(
        device, [x], T.jacobian(x * factor, x, consider_constant=[factor]), [0.5, 1.0]
    )
    np.testing.assert_allclose(result, np.diag(np.exp([0.5, 1.0])))
    with pytest.raises(DisconnectedInputError, match="does not depend on w"):
        T.jacobian(x**2, w)
    zeros = T.jacobian(x**2, w, disconnected_inputs="ignore")
    result = evaluate(device, [x, w], zeros, np.ones(2), np.ones(3), on_unused_input="ignore")
    np.testing.assert_array_equal(result, np.zeros((2, 3)))
    with pytest.raises(DisconnectedInputError, match="does not depend on w"):
        T.hessian(T.sum(x**2), w)
    with pytest.warns(UserWarning, match="does not depend on w"):
        T.jacobian(x**2, w, disconnected_inputs="warn")


def test_float32() -> None:
    x = T.fvector("x")
    result = theano.function([x], T.jacobian(x**2, x))(np.float32([1, 2]))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, [[2, 0], [0, 4]])


def test_wrong_arguments() -> None:
    x, w = T.dvector("x"), T.dmatrix("w")
    with pytest.raises(GraphTypeError, match="jacobian takes a scalar or a vector, such as"):
        T.jacobian(T.dot(w, w), w)
    with pytest.raises(GraphTypeError, match="hessian takes vectors, not float64 matrix"):
        T.hessian(T.sum(w), w)
    with pytest.raises(GraphTypeError, match="the cost must be a scalar"):
        T.hessian(x, x)


@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "sum"])
def test_a_net_of_images(device: str, how: str, mode: str) -> None:
    x, w = T.dtensor4("x"), T.dtensor4("w")
    pooled = pool.pool_2d(conv2d(x, w, (2, 1, 5, 5), (2, 1, 2, 2)), (2, 2), True, mode=mode)
    y = T.nnet.softmax(T.tanh(pooled).flatten(2)).flatten()
    by_x, by_w = T.jacobian(y, [x, w])
    values = _rng.normal(size=(2, 1, 5, 5)), _rng.normal(size=(2, 1, 2, 2))
    with making_functions_for(device):
        value = theano.function([x, w], y)
        jacobians = theano.function([x, w], [by_x, by_w])(*values)
    for number, result in enumerate(jacobians):

        def moved(at: AnyArray, number: int = number) -> AnyArray:
            at_both = [at if i == number else v for i, v in enumerate(values)]
            return np.asarray(value(*at_both))

        expected = differences(moved, values[number])
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-8)


def test_hessian_of_a_net_of_images(device: str, how: str) -> None:
    """By the images and the filters, which are parts of one vector."""
    v = T.dvector("v")
    images, filters = v[:18].reshape((2, 1, 3, 3)), v[18:].reshape((1, 1, 2, 2))
    hidden = pool.pool_2d(T.tanh(conv2d(images, filters)), (2, 2), True)
    cost = T.sum(hidden**2) + T.sum(T.batched_dot(images[:, 0], images[:, 0]) ** 2)
    values = _rng.normal(size=22)
    with making_functions_for(device):
        slope = theano.function([v], T.grad(cost, v))
        result = theano.function([v], T.hessian(cost, v))(values)
    expected = differences(lambda at: np.asarray(slope(at)), values)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-7)


def test_batch_normalisation(device: str, how: str) -> None:
    x, gamma = T.dmatrix("x"), T.dvector("gamma")
    y, *_ = batch_normalization_train(x, gamma, T.zeros_like(gamma))
    by_x, by_gamma = T.jacobian(y.flatten(), [x, gamma])
    values = _rng.normal(size=(3, 2)), _rng.normal(size=2)
    with making_functions_for(device):
        value = theano.function([x, gamma], y.flatten())
        results = theano.function([x, gamma], [by_x, by_gamma])(*values)
    expected = (
        differences(lambda v: np.asarray(value(v, values[1])), values[0]),
        differences(lambda v: np.asarray(value(values[0], v)), values[1]),
    )
    for result, slopes in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("images", lambda x: conv2d(x, T.ones((1, 1, 2, 2), "float64"))),
        ("maxima", lambda x: pool.pool_2d(x, (2, 2), True) ** 2),
        ("means", lambda x: pool.pool_2d(x, (2, 2), True, mode="average_exc_pad") ** 2),
        ("softmax", lambda x: T.nnet.softmax(x[0, 0]) ** 2),
        ("log of softmax", lambda x: T.log(T.nnet.softmax(x[0, 0]))),
        ("sums", lambda x: T.sum(x, axis=2)),
        ("product of matrices", lambda x: T.dot(x[0, 0], x[0, 1])),
        ("over axes", lambda x: T.tensordot(x, x, [[2], [3]])),
        ("filters", lambda x: conv2d(T.ones((2, 1, 4, 4), "float64"), x)),
        ("batches", lambda x: T.batched_dot(x[0], x[1]) ** 2),
        ("split", lambda x: T.split(x, [1, 1], 2, axis=1)[1] ** 2),
        ("by arrays", lambda x: x[0, 1][[0, 1], [1, 1]]),
        ("by arrays apart", lambda x: x[[0], :, [1]]),
        ("set", lambda x: T.set_subtensor(x[0, 0], 2 * x[0, 1])),
    ],
)  # fmt: skip
def test_no_row_is_written_out(
    monkeypatch: pytest.MonkeyPatch, name: str, of: Callable[[Any], Any]
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("rows are written out")

    monkeypatch.setattr(map_rows, "each_row", refuse)
    x = T.dtensor4("x")
    y = of(x).flatten()
    if name == "by arrays apart":
        with pytest.raises(AssertionError, match="written out"):
            T.jacobian(y, x)
    else:
        assert T.jacobian(y, x).ndim == 5


def test_too_many_rows_to_write_out() -> None:
    x = T.dtensor3("x")
    apart = x[[0], :, [0]].flatten()
    f = theano.function([x], T.jacobian(apart, x))
    np.testing.assert_array_equal(f(np.ones((1, 2, 1))).reshape(2, 2), np.eye(2))
    with pytest.raises(ShapeError, match=r"(?s)10001 rows; .*at most 10000.*test_jacobian.py:\d+"):
        f(np.zeros((1, 10_001, 1)))


def test_the_most_rows_that_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_rows, "MAX_ROWS", 3)
    x = T.dtensor3("x")
    f = theano.function([x], T.jacobian(x[[0], :, [0]].flatten(), x))
    for n in range(4):
        np.testing.assert_array_equal(f(np.ones((1, n, 1))).reshape(n, n), np.eye(n))
    with pytest.raises(ShapeError, match="4 rows"):
        f(np.ones((1, 4, 1)))


OP_CASES = {
    name: case
    for name, case in cases_of_ops().items()
    if np.size(case.expected(*case.arguments("float64"))) <= 12
}


@pytest.mark.parametrize("case", OP_CASES.values(), ids=OP_CASES)
def test_jacobian_of_an_op(case: Case) -> None:
    """The Jacobian by the first float, times a direction, is the derivative in that direction."""
    inputs, arguments = case.inputs("float64"), case.arguments("float64")
    number = next(i for i, v in enumerate(inputs) if v.type.is_float)
    x, value = inputs[number], arguments[number]
    matrix = T.jacobian(case.expression(*inputs).flatten(), x, disconnected_inputs="ignore")
    result = evaluate("cpu", inputs, matrix, *arguments, on_unused_input="ignore")
    direction = np.random.default_rng(17).normal(size=value.shape)
    directions = [direction if i == number else None for i in range(len(inputs))]
    expected = directional_difference(case, arguments, directions)
    assert result.shape == (expected.size, *value.shape)
    product = (result * direction).sum(axis=tuple(range(1, result.ndim)))
    np.testing.assert_allclose(product, expected.ravel(), rtol=1e-6, atol=1e-6)
