"""Softmaxes, sums of exponentials and cross-entropies, written out, against mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.stable import DTYPES, AnyArray, errors, mp

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

Form = Callable[[Any, int], Any]  # of an array and an axis
# In units of epsilon times what is exact, for exponents that are small integers.
TOLERANCE = 16
ROWS = [
    [0.0, 0.0, 0.0, 0.0],
    [1.0, 2.0, 3.0, -4.0],
    [100.0, 99.0, 0.0, -100.0],
    [1000.0, 0.0, -1000.0, 999.0],
    [-1000.0, -1001.0, -1002.0, -5000.0],
    [0.0, -20.0, -40.0, -80.0],
    [1e30, -1e30, 0.0, 1e-30],
    [745.0, 710.0, -104.0, 89.0],
    [3.0, 3.0, -3.0, 3.0],
]
# The shape of the array, and the axis along which ROWS lie.
PLACES: dict[str, tuple[tuple[int, ...], int]] = {
    "rows": ((9, 4), 1),
    "columns": ((4, 9), 0),
    "middle of three": ((3, 4, 3), 1),
    "last of four": ((1, 3, 3, 4), 3),
}


def total(e: Any, axis: int) -> Any:
    return e.sum(axis=axis, keepdims=True)


def shuffled(e: Any, axis: int) -> Any:
    """The sum, with its axis dropped and added again."""
    rest = iter(range(e.ndim - 1))
    return e.sum(axis=axis).dimshuffle(*("x" if i == axis else next(rest) for i in range(e.ndim)))


SOFTMAXES: dict[str, Form] = {
    "keepdims": lambda x, axis: T.exp(x) / total(T.exp(x), axis),
    "dimshuffle": lambda x, axis: T.exp(x) / shuffled(T.exp(x), axis),
    "shifted": lambda x, axis: (
        T.exp(x - x.max(axis=axis, keepdims=True))
        / total(T.exp(x - x.max(axis=axis, keepdims=True)), axis)
    ),
    "inverse": lambda x, axis: T.exp(x) * (1 / total(T.exp(x), axis)),
    "by the logarithm": lambda x, axis: T.exp(x - T.log(total(T.exp(x), axis))),
    "flipped": lambda x, axis: (T.exp(x[::-1]) / total(T.exp(x[::-1]), axis))[::-1],
    "twice": lambda x, axis: T.exp(x) / (total(T.exp(x), axis) + total(T.exp(x), axis)) * 2,
}


def exact_softmax(row: list[float]) -> tuple[list[Any], list[Any], Any]:
    """Shares, their logarithms, and the logarithm of the sum."""
    top = max(row)
    below = [mp.mpf(v) - mp.mpf(top) for v in row]
    log_rests = []
    for i in range(len(row)):
        others = mp.fsum(mp.exp(b) for k, b in enumerate(below) if k != i)
        log_rests.append(-mp.log1p(others / mp.exp(below[i])))
    largest = row.index(top)
    lse = mp.mpf(top) - log_rests[largest]
    return [mp.exp(v) for v in log_rests], log_rests, lse


def placed(place: str, dtype: str) -> AnyArray:
    shape, axis = PLACES[place]
    rest = tuple(n for i, n in enumerate(shape) if i != axis)
    values = np.array(ROWS).reshape(*rest, 4)
    return np.ascontiguousarray(np.moveaxis(values, -1, axis)).astype(dtype)


def rows_of(array: AnyArray, axis: int) -> AnyArray:
    return np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])


def run(values: AnyArray, expression: Callable[[Any], Any]) -> list[AnyArray]:
    """The expression and the gradient of its sum."""
    x = T.tensor(values.dtype.name, (False,) * values.ndim, "x")
    e = expression(x)
    return list(theano.function([x], [e, T.grad(T.sum(e), x)])(values))


def check(result: AnyArray, exact: list[list[Any]], dtype: str) -> None:
    for row, wanted in zip(result, exact, strict=True):
        assert (errors(row, wanted, dtype) <= TOLERANCE).all(), (row, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", SOFTMAXES)
def test_softmax(form: str, place: str, dtype: str) -> None:
    values, axis = placed(place, dtype), PLACES[place][1]
    weights = np.arange(4.0).astype(dtype)
    shape = [1] * values.ndim
    shape[axis] = 4
    expression = SOFTMAXES[form]
    result, gradient = run(values, lambda x: expression(x, axis) * weights.reshape(shape))
    exact = [exact_softmax([float(v) for v in row])[0] for row in rows_of(values, axis)]
    if form == "by the logarithm":  # the error of exp(y) grows with |y|
        np.testing.assert_allclose(
            rows_of(result, axis), np.array(exact, float) * weights, rtol=2e-4, atol=1e-30
        )
    else:
        check(rows_of(result, axis), [[w * s for w, s in enumerate(row)] for row in exact], dtype)
    slopes = [[s * (w - sum(v * t for v, t in enumerate(row))) for w, s in enumerate(row)]
              for row in exact]  # fmt: skip
    assert np.isfinite(gradient).all()
    found = rows_of(gradient, axis)
    np.testing.assert_allclose(found, np.array(slopes, float), atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", PLACES)
# In "twice" a factor of 1/2 in the logarithm cancels with another one.
@pytest.mark.parametrize("form", [form for form in SOFTMAXES if form != "twice"])
def test_log_of_a_softmax(form: str, place: str, dtype: str) -> None:
    values, axis = placed(place, dtype), PLACES[place][1]
    result, gradient = run(values, lambda x: T.log(SOFTMAXES[form](x, axis)))
    logs = [exact_softmax([float(v) for v in row])[1] for row in rows_of(values, axis)]
    if form in ("keepdims", "dimshuffle"):
        check(rows_of(result, axis), logs, dtype)
    np.testing.assert_allclose(
        rows_of(result, axis), np.array(logs, float), rtol=1e-5, atol=8 * np.finfo(dtype).eps * 1e3
    )
    slopes = [[1 - 4 * mp.exp(v) for v in row] for row in logs]
    np.testing.assert_allclose(
        rows_of(gradient, axis), np.array(slopes, float), atol=16 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", PLACES)
def test_log_of_one_minus_a_softmax(place: str, dtype: str) -> None:
    values, axis = placed(place, dtype), PLACES[place][1]
    logs, _ = run(values, lambda x: T.log(1 - SOFTMAXES["keepdims"](x, axis)))
    rests, gradient = run(values, lambda x: 1 - SOFTMAXES["keepdims"](x, axis))
    for row, log, rest in zip(
        rows_of(values, axis), rows_of(logs, axis), rows_of(rests, axis), strict=True
    ):
        row = [float(v) for v in row]
        lse = exact_softmax(row)[2]
        others = [exact_softmax(row[:i] + row[i + 1 :])[2] for i in range(4)]
        wanted = [other - lse for other in others]
        size = max(map(abs, row)) * np.finfo(dtype).eps
        np.testing.assert_allclose(log, np.array(wanted, float), rtol=1e-5, atol=4 * size)
        assert (errors(rest, [mp.exp(w) for w in wanted], dtype) <= TOLERANCE * 1e3).all() or (
            max(map(abs, row)) > 1e3
        )
    assert np.isfinite(logs).all()
    assert np.isfinite(gradient).all()


SUMS: dict[str, Form] = {
    "log(sum(exp))": lambda x, axis: T.log(total(T.exp(x), axis)),
    "log(sum(exp)) without the axis": lambda x, axis: T.log(T.sum(T.exp(x), axis=axis)),
    "log of the mean": lambda x, axis: T.log(T.mean(T.exp(x), axis=axis)) + np.log(4),
    "log(exp + exp + ...)": lambda x, axis: T.log(
        sum((T.exp(T.take(x, i, axis=axis)) for i in range(1, 4)), T.exp(T.take(x, 0, axis=axis)))
    ),
    "-log(1 / sum)": lambda x, axis: -T.log(1 / total(T.exp(x), axis)),
    "log2": lambda x, axis: T.log2(total(T.exp(x), axis)) * np.log(2),
    "of a product": lambda x, axis: T.log(total(T.exp(x) * T.exp(-x / 2) * T.exp(x / 2), axis)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", SUMS)
def test_log_of_a_sum_of_exponentials(form: str, place: str, dtype: str) -> None:
    values, axis = placed(place, dtype), PLACES[place][1]
    result, gradient = run(values, lambda x: SUMS[form](x, axis))
    rows = [exact_softmax([float(v) for v in row]) for row in rows_of(values, axis)]
    wanted = np.array([float(lse) for _, _, lse in rows])
    np.testing.assert_allclose(
        result.reshape(-1), wanted, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps
    )
    if form in ("log(sum(exp))", "log(sum(exp)) without the axis"):
        check(result.reshape(-1, 1), [[lse] for _, _, lse in rows], dtype)
    shares = np.array([[float(s) for s in shares] for shares, _, _ in rows])
    np.testing.assert_allclose(rows_of(gradient, axis), shares, atol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_terms(dtype: str) -> None:
    """log(exp(a) + exp(b)) and exp(a) / (exp(a) + exp(b)), on a grid of both."""
    sizes = np.array([-1e30, -1e4, -745, -104, -20, -1e-30, 0, 1e-10, 1, 89, 710, 1e4, 1e30])
    a, b = (v.ravel().astype(dtype) for v in np.meshgrid(sizes, sizes))
    u, v = T.vector("u", dtype=dtype), T.vector("v", dtype=dtype)
    lse, share = T.log(T.exp(u) + T.exp(v)), T.exp(u) / (T.exp(u) + T.exp(v))
    outputs = [lse, *T.grad(T.sum(lse), [u, v]), share, *T.grad(T.sum(share), [u, v])]
    results = theano.function([u, v], outputs)(a, b)
    wanted: list[list[Any]] = [[] for _ in outputs]
    for x, y in zip(a, b, strict=True):
        shares, _, total_ = exact_softmax([float(x), float(y)])
        slope = shares[0] * shares[1]
        for column, number in zip(wanted, [total_, *shares, shares[0], slope, -slope], strict=True):
            column.append(number)
    for result, exact in zip(results, wanted, strict=True):
        # The distance of a and b is rounded.
        allowed = TOLERANCE + np.minimum(np.abs(a - b), 1e3)
        assert (errors(result, exact, dtype) <= allowed).all()


@pytest.mark.parametrize("n", [2, 7, 8, 9, 17, 40])
def test_terms_added_one_by_one(n: int) -> None:
    """Also more terms than are kept apart."""
    x = T.dmatrix("x")
    sum_ = T.exp(x[:, 0])
    for i in range(1, n):
        sum_ = sum_ + T.exp(x[:, i])
    cost = T.log(sum_)
    values = np.random.default_rng(n).normal(size=(4, n)) * 1000
    function = theano.function([x], [cost, T.exp(x[:, 1]) / sum_, T.grad(T.sum(cost), x)])
    value, share, gradient = function(values)
    top = values.max(axis=1, keepdims=True)
    wanted = top + np.log(np.exp(values - top).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(value, wanted[:, 0], 1e-13)
    np.testing.assert_allclose(gradient, np.exp(values - wanted), atol=1e-12)
    np.testing.assert_allclose(share, np.exp(values - wanted)[:, 1], atol=1e-12)


def test_many_parts_of_a_join() -> None:
    x = T.dmatrix("x")
    shares = [SOFTMAXES["keepdims"](x, 1)[:, :: 1 if i % 2 else -1] for i in range(30)]
    result = theano.function([x], T.log(T.concatenate(shares)))([[1000.0, 0.0]])
    np.testing.assert_array_equal(result, [[-1000, 0], [0, -1000]] * 15)


CONSTANTS = [(1.0, 1.0), (0.5, 0.5), (1e-8, 1.0), (3.0, 2.0)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("c", "d"), CONSTANTS)
def test_weights_of_terms(c: float, d: float, dtype: str) -> None:
    values = np.array([-1000.0, -50, 0, 50, 1000]).astype(dtype)
    result, gradient = run(values, lambda x: T.log(c * T.exp(x) + d))
    wanted = np.logaddexp(np.log(c) + values.astype(float), np.log(d))
    np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-7)
    slopes = np.exp(np.log(c) + values.astype(float) - wanted)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-30)


# --- cross-entropies ------------------------------------------------------------------------------

BINARY: dict[str, Callable[[Any], Any]] = {
    "1 / (1 + exp(-z))": lambda z: 1 / (1 + T.exp(-z)),
    "exp(z) / (1 + exp(z))": lambda z: T.exp(z) / (1 + T.exp(z)),
    "tanh": lambda z: 0.5 * (1 + T.tanh(z / 2)),
    "sigmoid": T.nnet.sigmoid,
    "reshaped": lambda z: (1 / (1 + T.exp(-z))).reshape((-1, 1)).flatten(),
}
ENTROPIES: dict[str, Callable[[Any, Any], Any]] = {
    "written out": lambda p, t: -(t * T.log(p) + (1 - t) * T.log(1 - p)),
    "minus first": lambda p, t: -t * T.log(p) - (1 - t) * T.log(1 - p),
    "log1p": lambda p, t: -(t * T.log(p) + (1 - t) * T.log1p(-p)),
    "function": T.nnet.binary_crossentropy,
    "chosen": lambda p, t: -T.log(T.switch(t > 0.5, p, 1 - p)),
    "power": lambda p, t: -T.log(p * t + (1 - p) * (1 - t)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("entropy", ENTROPIES)
@pytest.mark.parametrize("form", BINARY)
def test_binary_cross_entropy(form: str, entropy: str, dtype: str) -> None:
    values = np.array([-1e30, -1000, -89, -18, 0, 1e-30, 18, 89, 1000, 1e30] * 2)
    targets = np.repeat([0.0, 1.0], 10)
    z, t = T.vector("z", dtype=dtype), T.vector("t", dtype=dtype)
    cost = ENTROPIES[entropy](BINARY[form](z), t)
    f = theano.function([z, t], [cost, T.grad(T.sum(cost), z)])
    result, gradient = f(values.astype(dtype), targets.astype(dtype))
    values = values.astype(dtype).astype(float)
    np.testing.assert_allclose(
        result, np.logaddexp(0, values) - targets * values, rtol=1e-5, atol=1e-30
    )
    slope = np.exp(-np.logaddexp(0, -values)) - targets
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", SOFTMAXES)
def test_categorical_cross_entropy(form: str, dtype: str) -> None:
    values = np.array(ROWS).astype(dtype)
    labels = np.arange(len(ROWS)) % 4
    onehot = np.eye(4)[labels].astype(dtype)
    z = T.matrix("z", dtype=dtype)
    p = SOFTMAXES[form](z, 1)
    costs = [
        -T.log(p)[T.arange(len(ROWS)), labels],
        -T.log(p[T.arange(len(ROWS)), labels]),
        -T.sum(onehot * T.log(p), axis=1),
        T.nnet.categorical_crossentropy(p, labels),
    ]
    exact = [exact_softmax([float(v) for v in row]) for row in values]
    wanted = np.array([-float(logs[k]) for (_, logs, _), k in zip(exact, labels, strict=True)])
    slopes = np.array([[float(s) for s in shares] for shares, _, _ in exact]) - onehot
    for cost in costs:
        f = theano.function([z], [cost, T.grad(T.sum(cost), z)])
        result, gradient = f(values)
        np.testing.assert_allclose(
            result, wanted, rtol=1e-5, atol=1e-4 if form == "shifted" else 1e-6
        )
        np.testing.assert_allclose(gradient, slopes, atol=1e-6)
