"""Batch normalisation: values against NumPy, derivatives, running averages, errors, a net."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import bn, conv2d

_rng = np.random.default_rng(6)
IMAGES = _rng.normal(2, 3, size=(3, 2, 4, 3))
ROWS = _rng.normal(-1, 2, size=(7, 5))
GAMMA, BETA = _rng.normal(size=(2, 5))
Axes = tuple[int, ...]


def normalised(
    x: AnyArray, gamma: AnyArray, beta: AnyArray, axes: Axes, epsilon: float = 1e-4
) -> list[AnyArray]:
    """out, mean, invstd and variance, all with as many dimensions as x."""
    mean = x.mean(axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    invstd = (variance + epsilon) ** -0.5
    return [(x - mean) * invstd * gamma + beta, mean, invstd, variance]


def along(axes: Axes, ndim: int, v: AnyArray) -> AnyArray:
    """A parameter with axes of length 1 inserted."""
    return np.expand_dims(v, [a for a in range(ndim) if a in axes])


def case(name: str, x: AnyArray, wish: Any, axes: Axes, **how: Any) -> Case:
    """`out` for parameters that leave the axes out."""
    kept = [n for a, n in enumerate(x.shape) if a not in axes]
    size = int(np.prod(kept))
    epsilon = how.get("epsilon", 1e-4)
    return Case(
        name,
        lambda a, g, b: bn.batch_normalization_train(a, g, b, wish, epsilon)[0],
        lambda a, g, b: normalised(
            a, along(axes, x.ndim, g), along(axes, x.ndim, b), axes, epsilon
        )[0],
        (x, np.resize(GAMMA, size).reshape(kept), np.resize(BETA, size).reshape(kept)),
    )


def statistic(number: int, name: str) -> Case:
    """One of the results together with the first, whose gradient passes through it."""
    return Case(
        f"{name}, used beside the result",
        lambda a, g, b: (
            T.sum(bn.batch_normalization_train(a, g, b, "spatial")[0] ** 2, axis=(0, 2, 3))
            * T.exp(bn.batch_normalization_train(a, g, b, "spatial")[number])
        ),
        lambda a, g, b: (
            (normalised(a, *_channels(g, b), (0, 2, 3))[0] ** 2).sum((0, 2, 3))
            * np.exp(normalised(a, *_channels(g, b), (0, 2, 3))[number].ravel())
        ),
        (IMAGES / 4, GAMMA[:2], BETA[:2]),
    )


def _channels(*vectors: AnyArray) -> list[AnyArray]:
    return [v[:, None, None] for v in vectors]


def _grad_of_cubes(x: AnyArray, gamma: AnyArray, beta: AnyArray) -> AnyArray:
    """The gradient of sum(out ** 3) by x, written out."""
    out, mean, invstd, _ = normalised(x, gamma, beta, (0,))
    g, xhat = 3 * out**2, (x - mean) * invstd
    return gamma * invstd * (g - g.mean(0) - xhat * (g * xhat).mean(0))


CASES = [
    case("per activation", ROWS, "per-activation", (0,)),
    case("per activation of images", IMAGES, "per-activation", (0,)),
    case("spatial", IMAGES, "spatial", (0, 2, 3)),
    case("spatial of a matrix", ROWS, "spatial", (0,)),
    case("rows", ROWS, (1,), (1,)),
    case("everything but the batch", IMAGES, (1, 2, 3), (1, 2, 3)),
    case("axes with kept ones in between", IMAGES, (3, 1), (1, 3)),
    case("an axis in between", IMAGES, [2], (2,)),
    case("an axis from the end", IMAGES, (-1, 0), (0, 3)),
    case("all axes", ROWS, (0, 1), (0, 1)),
    case("a vector", ROWS[:, 0].copy(), "per-activation", (0,)),
    case("a large epsilon", ROWS, "per-activation", (0,), epsilon=0.7),
    case("a batch of one", ROWS[:1], "per-activation", (0,)),
    case("one image", IMAGES[:1], "spatial", (0, 2, 3)),
    statistic(1, "mean"),
    statistic(2, "invstd"),
    Case(
        "of a view, rectified",
        lambda a, g, b: T.nnet.relu(
            bn.batch_normalization_train(a[::-1].dimshuffle(0, 3, 2, 1), g, b, "spatial")[0]
        ),
        lambda a, g, b: np.maximum(
            normalised(a[::-1].transpose(0, 3, 2, 1), *_channels(g, b), (0, 2, 3))[0], 0
        ),
        (IMAGES, GAMMA[:3], BETA[:3]),
    ),
    Case(
        "behind a convolution, rectified",
        lambda a, w, g, b: T.nnet.relu(
            bn.batch_normalization_train(conv2d(a, w, filter_flip=False), g, b, "spatial")[0]
        ),
        lambda a, w, g, b: np.maximum(
            normalised(_correlated(a, w), *_channels(g, b), (0, 2, 3))[0], 0
        ),
        (IMAGES, _rng.normal(size=(3, 2, 2, 2)), GAMMA[:3], BETA[:3]),
    ),
    Case(
        "second derivative",
        lambda a, g, b: T.grad(T.sum(bn.batch_normalization_train(a, g, b)[0] ** 3), a),
        _grad_of_cubes,
        (ROWS, GAMMA, BETA),
    ),
    Case(
        "derivative of the parameters' gradients",
        lambda a, g, b: (
            T.exp(T.grad(T.sum(bn.batch_normalization_train(a, g, b)[0] ** 2), g) / 9)
            + T.grad(T.sum(bn.batch_normalization_train(a, g, b)[0] ** 3), b)
        ),
        lambda a, g, b: (
            np.exp((2 * normalised(a, g, b, (0,))[0] * normalised(a, 1, 0, (0,))[0]).sum(0) / 9)
            + (3 * normalised(a, g, b, (0,))[0] ** 2).sum(0)
        ),
        (ROWS, GAMMA, BETA),
    ),
    Case(
        "with given statistics",
        lambda a, g, b, m, v: bn.batch_normalization_test(a, g, b, m, v, "spatial", 0.01),
        lambda a, g, b, m, v: (
            (a - m[:, None, None]) * (g / np.sqrt(v + 0.01))[:, None, None] + b[:, None, None]
        ),
        (IMAGES, GAMMA[:2], BETA[:2], BETA[2:4], GAMMA[2:4] ** 2),
    ),
    Case(
        "the older form",
        bn.batch_normalization,
        lambda a, g, b, m, s: (a - m) * g / s + b,
        (ROWS, GAMMA, BETA, BETA + 1, GAMMA**2 + 1),
    ),
]


def _correlated(x: AnyArray, w: AnyArray) -> AnyArray:
    patches = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("ncrshw,ochw->nors", patches, w)


test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize("full", [True, False])
def test_statistics_have_the_shape_of_the_parameters(device: str, full: bool) -> None:
    x, g, b = T.dtensor4("x"), T.dtensor4("g"), T.dtensor4("b")
    gamma, beta = GAMMA[:2].reshape(1, 2, 1, 1), BETA[:2].reshape(1, 2, 1, 1)
    inputs = [x, g, b]
    if not full:
        gamma, beta, inputs = gamma.ravel(), beta.ravel(), [x, T.dvector("g"), T.dvector("b")]
    results = bn.batch_normalization_train(*inputs, axes="spatial")
    values = evaluate(device, inputs, list(results), IMAGES, gamma, beta)
    wanted = normalised(IMAGES, *_channels(GAMMA[:2], BETA[:2]), (0, 2, 3))
    for value, exact in zip(values, wanted, strict=False):
        shape = exact.shape if full or exact.size > 2 else (2,)
        np.testing.assert_allclose(value, exact.reshape(shape), rtol=1e-12)


@pytest.mark.parametrize("full", [True, False])
def test_running_averages_are_updates(device: str, full: bool) -> None:
    x = T.dtensor4("x")
    shape = (1, 2, 1, 1) if full else (2,)
    start = GAMMA[:2].reshape(shape), BETA[:2].reshape(shape) ** 2
    running = [theano.shared(v, name) for v, name in zip(start, ("mean", "var"), strict=True)]
    ones, zeros = np.ones(shape), np.zeros(shape)
    results = bn.batch_normalization_train(
        x, ones, zeros, "spatial", 1e-4, 0.25, running[0], running[1]
    )
    step = theano.function([x], results[0], updates=list(zip(running, results[3:], strict=True)))
    mean, var = start
    for images in (IMAGES, IMAGES + 1, IMAGES * 2):
        step(images)
        _, centre, _, variance = normalised(images, 1, 0, (0, 2, 3))
        mean = mean * 0.75 + centre.reshape(shape) * 0.25
        var = var * 0.75 + variance.reshape(shape) * (36 / 35) * 0.25
        np.testing.assert_allclose(running[0].get_value(), mean, rtol=1e-12)
        np.testing.assert_allclose(running[1].get_value(), var, rtol=1e-12)


def test_the_factor_can_be_symbolic_and_one_value_has_no_variance(device: str) -> None:
    x, factor = T.dmatrix("x"), T.dscalar("factor")
    old = [np.full(5, 2.0), np.full(5, 3.0)]
    results = bn.batch_normalization_train(
        x, np.ones(5), np.zeros(5), running_average_factor=factor, running_mean=old[0],
        running_var=old[1],
    )  # fmt: skip
    out, *_, mean, var = evaluate(device, [x, factor], list(results), ROWS[:1], 0.5)
    np.testing.assert_array_equal(out, np.zeros((1, 5)))
    np.testing.assert_allclose(mean, 1 + ROWS[0] / 2)
    np.testing.assert_array_equal(var, np.full(5, 1.5))


def test_backends_with_the_kernels_use_them() -> None:
    x, gamma, beta = T.ftensor4("x"), T.fvector("gamma"), T.fvector("beta")
    out = T.nnet.relu(T.nnet.batch_normalization_train(x, gamma, beta, "spatial")[0])
    cost = T.sum(out**2)
    values = IMAGES.astype("f"), GAMMA[:2].astype("f"), BETA[:2].astype("f")
    forward = theano.function([x, gamma, beta], out)
    forward(*values)
    kernels = [call.kernel for call in forward.plan.calls]
    assert kernels == ["batch_norm"]  # ReLU is its epilogue
    both = theano.function([x, gamma, beta], T.grad(cost, [x, gamma, beta]))
    both(*values)
    kernels = [call.kernel for call in both.plan.calls]
    assert kernels == ["batch_norm", "elementwise", "batch_norm_grad"]


def test_a_small_net_trains(device: str) -> None:
    """conv, batch norm, ReLU, dense; then inference with its running averages."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 48).astype("int32")
    images = rng.normal(size=(48, 1, 6, 6)) * 0.3
    for image, label in zip(images, labels, strict=True):
        image[0, 2 * label : 2 * label + 2] += 1  # a stripe
    x, y = T.dtensor4("x"), T.ivector("y")
    w = theano.shared(rng.normal(size=(4, 1, 3, 3)) * 0.3, "w")
    gamma, beta = theano.shared(np.ones(4), "gamma"), theano.shared(np.zeros(4), "beta")
    running = [theano.shared(np.zeros(4), "mean"), theano.shared(np.ones(4), "var")]
    v, c = theano.shared(rng.normal(size=(144, 3)) * 0.1, "v"), theano.shared(np.zeros(3), "c")
    maps = conv2d(x, w, border_mode="half")

    def probabilities(hidden: theano.Variable) -> theano.Variable:
        return T.nnet.softmax(T.dot(T.nnet.relu(hidden).flatten(2), v) + c)

    hidden, *_, mean, var = bn.batch_normalization_train(
        maps, gamma, beta, "spatial", 1e-4, 0.2, *running
    )
    cost = -T.mean(T.log(probabilities(hidden))[T.arange(y.shape[0]), y])
    parameters = [w, gamma, beta, v, c]
    updates = [(p, p - 0.2 * g) for p, g in zip(parameters, T.grad(cost, parameters), strict=True)]
    step = theano.function(
        [x, y], cost, updates=[*updates, *zip(running, (mean, var), strict=True)]
    )
    costs = [float(step(images, labels)) for _ in range(25)]
    assert costs[-1] < 0.1 * costs[0]
    used = bn.batch_normalization_test(maps, gamma, beta, *running, axes="spatial")
    guess = theano.function([x], T.argmax(probabilities(used), axis=1))
    assert (guess(images) == labels).mean() > 0.95


def test_parameters_of_another_shape(device: str) -> None:
    x, gamma, beta = T.dmatrix("x"), T.dvector("gamma"), T.dvector("beta")
    function = theano.function([x, gamma, beta], bn.batch_normalization_train(x, gamma, beta)[0])
    with pytest.raises(ValueError, match=r"(?s)beta has shape \(1, 4\).*need \(1, 5\).*_norm.py"):
        function(ROWS, GAMMA, BETA[:4])


def _train(**how: Any) -> Any:
    return lambda x, v: bn.batch_normalization_train(x, how.pop("gamma", v), v, **how)


ERRORS: list[tuple[Any, str]] = [
    (_train(axes="channels"), "axes is 'channels'"),
    (_train(axes=()), "at least one axis"),
    (_train(axes=None), "axes is None"),
    (_train(axes=(0, 2)), "axis 2 is out of range for 2 dimensions"),
    (_train(axes=(0, 0)), "named twice"),
    (_train(gamma=2.0), "gamma has 0, beta has 1 dimensions; all need 2"),
    (_train(axes=(0, 1)), "gamma has 1, beta has 1 dimensions; all need 2, as the inputs, or 0"),
    (_train(epsilon=0), "epsilon is 0"),
    (_train(running_mean=GAMMA), "running_mean and running_var go together"),
    (_train(running_mean=1.0, running_var=1.0), "running_mean has 0, running_var has 0"),
    (lambda x, v: bn.batch_normalization(x, v, v, v, v, "quick"), "mode is 'quick'"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors_when_an_expression_is_made(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(T.dmatrix("x"), T.dvector("v"))
