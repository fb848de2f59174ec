"""Pieces of programs for Theano, as they were written, against NumPy or against another way to the
same number.
"""

from __future__ import annotations

from collections import OrderedDict
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

RNG = np.random.RandomState(0)
X = RNG.rand(20, 8)
Y = RNG.randint(0, 3, 20).astype("int32")


@pytest.fixture
def theano(drop_in: Any) -> Any:
    return import_module("theano")


def values(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(0, 0.1, shape)


def test_importance_weighted_bound(theano: Any) -> None:
    """Its gradient is that of the log weights, weighted by constants."""
    tt = theano.tensor
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(1)
    x, encoder, decoder = tt.matrix("x"), theano.shared(values(8, 4)), theano.shared(values(2, 8))
    mean, log_deviation = tt.dot(x, encoder)[:, :2], tt.dot(x, encoder)[:, 2:]
    noise = streams.normal((5, x.shape[0], 2), dtype=theano.config.floatX)
    z = mean + tt.exp(log_deviation) * noise
    p = tt.nnet.sigmoid(tt.dot(z, decoder))
    log_w = tt.sum(x * tt.log(p) + (1 - x) * tt.log(1 - p), axis=2)
    log_w += 0.5 * tt.sum(noise**2 - z**2, axis=2) + tt.sum(log_deviation, axis=1)
    most = tt.max(log_w, axis=0, keepdims=True)
    bound = tt.mean(tt.log(tt.mean(tt.exp(log_w - most), axis=0)) + most[0])
    w = tt.exp(log_w - most)
    w = theano.gradient.disconnected_grad(w / w.sum(axis=0, keepdims=True))
    weighted = tt.mean(tt.sum(w * log_w, axis=0))
    slopes = [tt.grad(cost, p) for cost in (bound, weighted) for p in (encoder, decoder)]
    f = theano.function([x], [bound, tt.mean(log_w), *slopes])
    best, mean_bound, *slopes = f(X)
    assert best > mean_bound
    np.testing.assert_allclose(slopes[0], slopes[2], rtol=1e-9)
    np.testing.assert_allclose(slopes[1], slopes[3], rtol=1e-9)


def test_two_nets_against_each_other(theano: Any) -> None:
    tt = theano.tensor
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(1)
    x, made, judge = tt.matrix("x"), theano.shared(values(4, 8)), theano.shared(values(8, 1))
    z = streams.uniform((x.shape[0], 4), low=-1.0, high=1.0, dtype=theano.config.floatX)
    fake = tt.nnet.sigmoid(tt.dot(z, made))
    p_real, p_fake = (tt.nnet.sigmoid(tt.dot(v, judge)) for v in (x, fake))
    judge_cost = tt.nnet.binary_crossentropy(p_real, tt.ones(p_real.shape)).mean()
    judge_cost += tt.nnet.binary_crossentropy(p_fake, tt.zeros(p_fake.shape)).mean()
    made_cost = tt.nnet.binary_crossentropy(p_fake, tt.ones(p_fake.shape)).mean()
    train = {
        p: theano.function([x], cost, updates=[(p, p - 0.1 * tt.grad(cost, p))])
        for p, cost in ((judge, judge_cost), (made, made_cost))
    }
    for _ in range(3):
        for p, other in ((judge, made), (made, judge)):
            before = p.get_value(), other.get_value()
            assert 0 < train[p](X) < 2
            assert (p.get_value() != before[0]).all()
            assert (other.get_value() == before[1]).all()


def test_unrolled_lstm_with_clipped_gradients(theano: Any) -> None:
    tt = theano.tensor
    x = tt.tensor3("x")
    params = [theano.shared(v) for v in (values(8, 20), values(5, 20), np.zeros(20))]
    w, u, b = params
    h = c = tt.alloc(np.asarray(0.0, dtype=theano.config.floatX), x.shape[1], 5)
    steps = []
    for t in range(4):
        gates = tt.dot(x[t], w) + tt.dot(h, u) + b
        i, f, o, g = (gates[:, n * 5 : (n + 1) * 5] for n in range(4))
        c = tt.nnet.sigmoid(f) * c + tt.nnet.sigmoid(i) * tt.tanh(g)
        h = tt.nnet.sigmoid(o) * tt.tanh(c)
        steps.append(h)
    cost = tt.stacklists(steps).mean(axis=0).sum()
    gradients = tt.grad(cost, params)
    norm = tt.sqrt(sum(tt.sum(g**2) for g in gradients))
    clipped = [tt.switch(norm >= 0.01, g * 0.01 / norm, g) for g in gradients]
    data = RNG.rand(4, 3, 8)
    *found, limited = theano.function(
        [x], [*gradients, tt.sqrt(sum(tt.sum(g**2) for g in clipped))]
    )(data)
    np.testing.assert_allclose(limited, 0.01)
    f = theano.function([x], cost)
    for p, slope in zip(params, found, strict=True):
        value, step = p.get_value(), np.zeros_like(p.get_value())
        step.flat[3] = 1e-6
        p.set_value(value + step)
        above = f(data)
        p.set_value(value - step)
        np.testing.assert_allclose(slope.flat[3], (above - f(data)) / 2e-6, rtol=1e-5)
        p.set_value(value)


def test_newton_steps_by_every_solver(theano: Any) -> None:
    tt = theano.tensor
    w, x, y = theano.shared(values(8)), tt.matrix("x"), tt.vector("y")
    z = tt.dot(x, w)
    cost = tt.mean(tt.nnet.softplus(z) - y * z) + 0.01 * tt.sum(w**2)
    g, hessian = tt.grad(cost, w), theano.gradient.hessian(cost, w)
    lower = tt.slinalg.cholesky(hessian)
    half = tt.slinalg.solve_lower_triangular(lower, g)
    steps = [
        tt.slinalg.solve(hessian, g),
        tt.slinalg.Solve()(hessian, g),
        tt.dot(tt.nlinalg.matrix_inverse(hessian), g),
        tt.dot(tt.nlinalg.MatrixInverse()(hessian), g),
        tt.nlinalg.pinv(hessian).dot(g),
        tt.slinalg.solve_upper_triangular(lower.T, half),
    ]
    labels = (Y > 1).astype("float64")
    p = 1 / (1 + np.exp(-X @ w.get_value()))
    second = X.T @ (X * (p * (1 - p))[:, None]) / len(X) + 0.02 * np.eye(8)
    expected = np.linalg.solve(second, X.T @ (p - labels) / len(X) + 0.02 * w.get_value())
    for step in theano.function([x, y], steps)(X, labels):
        np.testing.assert_allclose(step, expected, rtol=1e-8)
    v = tt.vector("v")
    products = [tt.Rop(g, w, v), tt.grad(tt.sum(g * v), w), tt.dot(hessian, v)]
    direction = values(8)
    for product in theano.function([x, y, v], products)(X, labels, direction):
        np.testing.assert_allclose(product, second @ direction, rtol=1e-10)


def test_hamiltonian_monte_carlo(theano: Any) -> None:
    tt = theano.tensor
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(1)
    q = theano.shared(np.full((200, 2), 3.0))
    start = streams.normal(size=q.shape)

    def energy(at: Any) -> Any:
        return 0.5 * tt.sum((at / [1.0, 0.5]) ** 2, axis=1)

    place, momentum = q, start - 0.1 * tt.grad(energy(q).sum(), q)
    for i in range(5):
        place = place + 0.2 * momentum
        momentum -= (0.2 if i < 4 else 0.1) * tt.grad(energy(place).sum(), place)
    before, after = (
        energy(a) + 0.5 * tt.sum(b**2, axis=1) for a, b in ((q, start), (place, momentum))
    )
    accepted = tt.lt(streams.uniform(size=(q.shape[0],)), tt.exp(before - after))
    step = theano.function(
        [], accepted.mean(), updates=[(q, tt.switch(accepted.dimshuffle(0, "x"), place, q))]
    )
    for _ in range(20):
        step()
    drawn = []
    for _ in range(100):
        assert step() > 0.8
        drawn.append(q.get_value())
    np.testing.assert_allclose(np.std(drawn, axis=(0, 1)), [1, 0.5], rtol=0.05)


def test_gaussian_process(theano: Any) -> None:
    """The likelihood by the determinant and by Cholesky's factor, with their slopes."""
    tt = theano.tensor
    x, y, length = tt.matrix("x"), tt.vector("y"), theano.shared(0.7)
    squares = ((x[:, None, :] - x[None, :, :]) ** 2).sum(2)
    k = tt.exp(-squares / (2 * length**2)) + 0.01 * tt.eye(x.shape[0])
    fit = 0.5 * tt.dot(y, tt.slinalg.solve(k, y))
    likelihoods = [
        fit + 0.5 * tt.log(tt.nlinalg.det(k)),
        fit + tt.log(tt.nlinalg.extract_diag(tt.slinalg.cholesky(k))).sum(),
    ]
    f = theano.function([x, y], likelihoods + [tt.grad(v, length) for v in likelihoods])
    by_det, by_factor, slope, slope_of_factor = f(X, X[:, 0])
    distances = ((X[:, None] - X[None]) ** 2).sum(2)

    def expected(at: float) -> float:
        matrix = np.exp(-distances / (2 * at**2)) + 0.01 * np.eye(20)
        fitted = 0.5 * X[:, 0] @ np.linalg.solve(matrix, X[:, 0])
        return float(fitted + 0.5 * np.linalg.slogdet(matrix)[1])

    np.testing.assert_allclose([by_det, by_factor], expected(0.7), rtol=1e-8)
    difference = (expected(0.7 + 1e-5) - expected(0.7 - 1e-5)) / 2e-5
    np.testing.assert_allclose([slope, slope_of_factor], difference, rtol=1e-5)


def test_margins_by_assignment(theano: Any) -> None:
    tt = theano.tensor
    x, y, w = tt.matrix("x"), tt.ivector("y"), theano.shared(values(8, 3))
    scores = tt.dot(x, w)
    rows = tt.arange(x.shape[0])
    margins = tt.maximum(0, scores - scores[rows, y][:, None] + 1)
    margins = tt.set_subtensor(margins[rows, y], 0)
    cost = margins.sum(axis=1).mean()
    found, slope = theano.function([x, y], [cost, tt.grad(cost, w)])(X, Y)
    result = X @ w.get_value()
    expected = np.maximum(0, result - result[np.arange(20), Y][:, None] + 1)
    expected[np.arange(20), Y] = 0
    np.testing.assert_allclose(found, expected.sum(axis=1).mean())
    active = (expected > 0).astype(float)
    active[np.arange(20), Y] = -active.sum(axis=1)
    np.testing.assert_allclose(slope, X.T @ active / 20, atol=1e-15)


def test_clusters(theano: Any) -> None:
    """Lloyd's steps never raise the mean distance."""
    tt = theano.tensor
    x, centres = tt.matrix("x"), theano.shared(X[:3].copy())
    distances = tt.sqr(x.dimshuffle(0, "x", 1) - centres.dimshuffle("x", 0, 1)).sum(axis=2)
    members = tt.extra_ops.to_one_hot(tt.argmin(distances, axis=1), 3)
    sizes = members.sum(axis=0)
    means = tt.dot(members.T, x) / tt.maximum(sizes, 1).dimshuffle(0, "x")
    updates = OrderedDict(
        [(centres, tt.switch(tt.gt(sizes, 0).dimshuffle(0, "x"), means, centres))]
    )
    step = theano.function([x], distances.min(axis=1).mean(), updates=updates)
    costs = [float(step(X)) for _ in range(6)]
    assert costs[0] > costs[-1]
    assert all(b <= a + 1e-12 for a, b in pairwise(costs))


def test_whitening(theano: Any) -> None:
    tt = theano.tensor
    x = tt.matrix("x")
    centred = x - x.mean(axis=0)
    w, v = tt.nlinalg.eigh(tt.dot(centred.T, centred) / x.shape[0])
    white = tt.dot(centred, tt.dot(tt.dot(v, tt.diag(1 / tt.sqrt(w))), v.T))
    result = theano.function([x], white)(X)
    np.testing.assert_allclose(result.T @ result / 20, np.eye(8), atol=1e-10)
