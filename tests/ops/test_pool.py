"""Pooling in every mode: values against loops, derivatives, ties, NaN, errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.ops.pool import pooled_length
from tinygrad_mnist.tensor.nnet import conv2d
from tinygrad_mnist.tensor.signal import downsample, pool

Pair = tuple[int, int]
X = np.random.default_rng(8).normal(size=(2, 2, 7, 6))  # no two alike
TIED = np.array([[5.0, 5, 1, 2], [5, 0, 2, 2], [0, 0, 3, 1], [0, 0, 1, 3]])


MEANS = {"max": np.max, "sum": np.sum, "average_inc_pad": np.mean, "average_exc_pad": np.mean}


def pool_windows(
    x: AnyArray,
    window: Pair,
    stride: Pair | None = None,
    padding: Pair = (0, 0),
    ignore_border: bool = True,
    mode: str = "max",
) -> AnyArray:
    """The pool window by window, as its definition says."""
    stride = stride or window
    starts = [
        _starts(n, w, s, p, ignore_border)
        for n, w, s, p in zip(x.shape[-2:], window, stride, padding, strict=True)
    ]
    if mode in ("sum", "average_inc_pad"):
        x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(p, p) for p in padding])
        starts = [[s + p for s in along] for along, p in zip(starts, padding, strict=True)]
    rows = [
        [
            MEANS[mode](x[..., max(r, 0) : r + window[0], max(c, 0) : c + window[1]], (-2, -1))
            for c in starts[1]
        ]
        for r in starts[0]
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def _starts(n: int, window: int, stride: int, padding: int, ignore_border: bool) -> list[int]:
    """First positions of the windows along one axis. Without `ignore_border`, windows go on until
    all elements are in one."""
    starts, position = [], -padding
    while position < n and (position + window <= n + padding or not ignore_border):
        starts.append(position)
        if not ignore_border and position + window >= n and stride < window:
            break
        position += stride
    return starts


def case(name: str, x: AnyArray, *how: Any, mode: str = "max") -> Case:
    window, stride, padding, ignore_border = (*how, *(None, None, None)[len(how) - 1 :])
    padding, ignore_border = padding or (0, 0), ignore_border is not False
    return Case(
        name,
        lambda a: pool.pool_2d(a, window, ignore_border, stride, padding, mode),
        lambda a: pool_windows(a, window, stride, padding, ignore_border, mode),
        (x,),
    )


CASES = [
    case("blocks", X, (2, 2)),
    case("blocks that fit", X[:, :, :6], (3, 2)),
    case("with border", X, (2, 4), None, None, False),
    case("overlapping", X, (3, 3), (2, 1)),
    case("overlapping with border", X, (3, 3), (2, 2), None, False),
    case("strides past the window", X, (1, 2), (3, 4)),
    case("strides past the window, with border", X, (1, 2), (3, 4), None, False),
    case("padding", X, (3, 2), (2, 2), (1, 1)),
    case("padding and overlap", X, (3, 3), (1, 1), (2, 2)),
    case("3 x 3 windows need two bytes of winners", X, (3, 3)),
    case("one window", X, (7, 6)),
    case("a matrix", X[0, 0], (2, 2)),
    case("three dimensions", X[0], (2, 3)),
    case("five dimensions", X[None], (2, 2)),
    Case(
        "of a convolution",
        lambda x, w: pool.pool_2d(conv2d(x, w), (2, 2), ignore_border=True),
        lambda x, w: pool_windows(_convolved(x, w), (2, 2)),
        (X, X[:1, :, :2, :3] + 1),
    ),
    Case(
        "of a convolution, with bias",
        lambda x, w: T.tanh(pool.pool_2d(conv2d(x, w), (3, 2), ignore_border=True) + 0.5),
        lambda x, w: np.tanh(pool_windows(_convolved(x, w), (3, 2)) + 0.5),
        (X, X[:1, :, :2, :3] + 1),
    ),
    Case(
        "of a convolution that is read too",
        lambda x, w: T.sum(conv2d(x, w)) * pool.pool_2d(conv2d(x, w), (2, 2), ignore_border=True),
        lambda x, w: _convolved(x, w).sum() * pool_windows(_convolved(x, w), (2, 2)),
        (X, X[:1, :, :2, :3] + 1),
    ),
]


GEOMETRIES: list[tuple[str, Any]] = [
    ("blocks", (X, (2, 2))),
    ("with border", (X[:1, :1], (2, 4), None, None, False)),
    ("overlapping", (X[:1, :1], (3, 3), (2, 1))),
    ("overlapping with border", (X[:1, :1], (3, 3), (2, 2), None, False)),
    ("strides past the window", (X[:1, :1], (1, 2), (3, 4))),
    ("strides past the window, with border", (X[:1, :1], (1, 2), (3, 4), None, False)),
    ("padding", (X[:1, :1], (3, 2), (2, 2), (1, 1))),
    ("padding and overlap", (X[:1, :1], (3, 3), (1, 1), (2, 2))),
    ("one window", (X[:1, :1], (7, 6))),
    ("a matrix", (X[0, 0], (2, 2))),
    ("three dimensions", (X[0], (2, 3))),
    ("five dimensions", (X[None], (2, 2))),
]
CASES += [
    case(f"{mode}, {name}", *how, mode=mode)
    for mode in ("sum", "average_inc_pad", "average_exc_pad")
    for name, how in GEOMETRIES
]
CASES += [
    Case(
        "averages of a convolution, with bias",
        lambda x, w: T.tanh(pool.pool_2d(conv2d(x, w), 2, True, mode="average_exc_pad") + 0.5),
        lambda x, w: np.tanh(pool_windows(_convolved(x, w), (2, 2), mode="average_exc_pad") + 0.5),
        (X, X[:1, :, :2, :3] + 1),
    ),
    Case(
        "all but the maxima made zero",
        lambda x: pool.max_pool_2d_same_size(x, (2, 3)),
        lambda x: _kept(x, (2, 3)),
        (X,),
    ),
    Case(
        "second derivative by the maximum",
        lambda x: T.grad(T.sum(pool.pool_2d(x, (3, 2), True, (2, 1)) ** 3), x),
        lambda x: _grad_of_cubes(x, (3, 2), (2, 1)),
        (X,),
    ),
    Case(
        "second derivative by the maximum of a convolution",
        lambda x, w: T.grad(T.sum(pool.pool_2d(conv2d(x, w), 2, True) ** 3), x),
        lambda x, w: _grad_behind_convolution(x, w),
        (X[:1, :, :5], X[:1, :, :2, :3] + 1),
    ),
    Case(
        "second derivative by the mean",
        lambda x: T.grad(T.sum(pool.pool_2d(x, 2, False, mode="average_inc_pad") ** 3), x),
        lambda x: _grad_of_cubed_means(x),
        (X,),
    ),
    Case(
        "third derivative by the maximum",
        lambda x: T.grad(T.sum(T.grad(T.sum(pool.pool_2d(x, 2, True) ** 4), x) ** 2), x),
        lambda x: np.where(_kept(x, (2, 2)) != 0, 96 * x**5, 0),
        (X,),
    ),
]


def _kept(x: AnyArray, window: Pair) -> AnyArray:
    """x where it equals the maximum of its window, else 0."""
    rows, columns = (x.shape[2 + i] // window[i] * window[i] for i in (0, 1))
    top = pool_windows(x, window).repeat(window[0], 2).repeat(window[1], 3)
    result = np.zeros_like(x)
    inside = x[:, :, :rows, :columns]
    result[:, :, :rows, :columns] = np.where(inside == top, inside, 0)
    return result


def _grad_of_cubes(x: AnyArray, window: Pair, stride: Pair) -> AnyArray:
    """The gradient of sum(max-pool(x) ** 3), window by window."""
    top, result = pool_windows(x, window, stride), np.zeros_like(x)
    for r, c in np.ndindex(*top.shape[2:]):
        here = np.s_[:, :, r * stride[0] :, c * stride[1] :]
        patch = np.s_[:, :, : window[0], : window[1]]
        most = top[:, :, r, c, None, None]
        result[here][patch] += np.where(x[here][patch] == most, 3 * most**2, 0)
    return result


def _grad_behind_convolution(x: AnyArray, w: AnyArray) -> AnyArray:
    """The gradient of sum(max-pool(convolution) ** 3) by x, position by position."""
    g, result = _grad_of_cubes(_convolved(x, w), (2, 2), (2, 2)), np.zeros_like(x)
    for r, c in np.ndindex(*g.shape[2:]):
        patch = np.einsum("no,ochw->nchw", g[:, :, r, c], w[:, :, ::-1, ::-1])
        result[:, :, r : r + w.shape[2], c : c + w.shape[3]] += patch
    return result


def _grad_of_cubed_means(x: AnyArray) -> AnyArray:
    """The gradient of sum(mean over 2 x 2 with border ** 3)."""
    mean = pool_windows(x, (2, 2), None, (0, 0), False, "average_inc_pad")
    count = pool_windows(np.ones_like(x), (2, 2), None, (0, 0), False, "sum")
    spread = (3 * mean**2 / count).repeat(2, 2).repeat(2, 3)
    return spread[:, :, : x.shape[2], : x.shape[3]]


def _convolved(x: AnyArray, w: AnyArray) -> AnyArray:
    w = w[:, :, ::-1, ::-1]
    patches = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("ncrshw,ochw->nors", patches, w)


test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_goes_whole_to_every_winner(device: str, dtype: str) -> None:
    x = T.matrix("x", dtype)
    weights = np.array([[1.0, 2.0], [4.0, 8.0]], dtype)
    gradient = T.grad(T.sum(pool.pool_2d(x, (2, 2), ignore_border=True) * weights), x)
    expected = [[1, 1, 0, 2], [1, 0, 2, 2], [4, 4, 8, 0], [4, 4, 0, 8]]
    np.testing.assert_array_equal(evaluate(device, [x], gradient, TIED.astype(dtype)), expected)


def test_overlapping_windows_add_up_at_their_winners(device: str) -> None:
    x = T.dmatrix("x")
    gradient = T.grad(T.sum(pool.pool_2d(x, (2, 2), ignore_border=True, stride=(1, 1))), x)
    windows = pool_windows(TIED, (2, 2), (1, 1))
    counted = np.zeros((4, 4))
    for r, c in np.ndindex(3, 3):
        counted[r : r + 2, c : c + 2] += TIED[r : r + 2, c : c + 2] == windows[r, c]
    np.testing.assert_array_equal(evaluate(device, [x], gradient, TIED), counted)
    assert counted.sum() > 9  # windows, so some tie


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ties_behind_a_convolution(device: str, dtype: str) -> None:
    """On a black border windows tie wholly: every position wins, whatever kernel computes it."""
    x, w = T.tensor4("x", dtype), T.tensor4("w", dtype)
    filters = np.random.default_rng(9).normal(size=(3, 1, 3, 3)).astype(dtype)
    pooled = pool.pool_2d(conv2d(x, w), (2, 2), ignore_border=True)
    outputs = [pooled, T.grad(T.sum(pooled), x), T.grad(T.sum(pooled), w)]
    for value in (0.0, 1 / 3):
        images = np.full((2, 1, 8, 8), value, dtype)
        values, by_image, by_filter = evaluate(device, [x, w], outputs, images, filters)
        assert len(np.unique(values[:, 0])) == 1
        # Each of the 6 x 6 positions gets a gradient of 1, for every filter and image.
        np.testing.assert_allclose(by_filter, 72 * value, rtol=1e-5)
        total = 36 * filters.sum()
        np.testing.assert_allclose(by_image.sum((1, 2, 3)), total, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_wins(device: str, dtype: str) -> None:
    x = T.matrix("x", dtype)
    values = TIED.astype(dtype)
    values[0, 1] = np.nan
    pooled = pool.pool_2d(x, (2, 2), ignore_border=True)
    result, gradient = evaluate(device, [x], [pooled, T.grad(T.sum(pooled), x)], values)
    np.testing.assert_array_equal(result, [[np.nan, 2], [0, 3]])
    np.testing.assert_array_equal(gradient[:2, :2], [[0, 1], [0, 0]])


def test_padding_never_wins(device: str) -> None:
    x = T.dmatrix("x")
    pooled = pool.pool_2d(x, (2, 2), ignore_border=True, pad=(1, 1))
    np.testing.assert_array_equal(
        evaluate(device, [x], pooled, -1 - TIED), pool_windows(-1 - TIED, (2, 2), None, (1, 1))
    )


def test_both_generations_of_keywords(device: str) -> None:
    x = T.tensor4("x", "float64")
    same = [
        pool.pool_2d(x, ws=(2, 3), ignore_border=True, stride=(1, 2), pad=(1, 0)),
        pool.pool_2d(input=x, ds=(2, 3), ignore_border=True, st=(1, 2), padding=(1, 0)),
        downsample.max_pool_2d(input=x, ds=(2, 3), ignore_border=True, st=(1, 2), padding=(1, 0)),
    ]
    expected = pool_windows(X, (2, 3), (1, 2), (1, 0))
    for result in evaluate(device, [x], same, X):
        np.testing.assert_array_equal(result, expected)


def test_borders_are_kept_by_default(device: str) -> None:
    x = T.tensor4("x", "float64")
    newer, older = evaluate(device, [x], [pool.pool_2d(x, 2), downsample.max_pool_2d(x, (2, 2))], X)
    np.testing.assert_array_equal(newer, pool_windows(X, (2, 2), ignore_border=False))
    np.testing.assert_array_equal(older, newer)


@pytest.mark.parametrize("mode", ["sum", "average_inc_pad", "average_exc_pad"])
def test_infinite_pixels_reach_their_windows_only(device: str, mode: str) -> None:
    x = T.dmatrix("x")
    values = TIED.copy()
    values[0, 0] = np.inf
    result = evaluate(device, [x], pool.pool_2d(x, 2, True, mode=mode), values)
    assert result[0, 0] == np.inf
    assert np.isfinite(result.ravel()[1:]).all()


@pytest.mark.parametrize("mode", ["max", "sum", "average_inc_pad", "average_exc_pad"])
def test_no_images(device: str, mode: str) -> None:
    x = T.tensor4("x", "float64")
    y = pool.pool_2d(x, (2, 2), ignore_border=True, mode=mode)
    value, gradient = evaluate(device, [x], [y, T.grad(T.sum(y), x)], X[:0])
    assert value.shape == (0, 2, 3, 3)
    assert gradient.shape == (0, 2, 7, 6)


@pytest.mark.parametrize("ignore_border", [True, False])
def test_numbers_of_windows(ignore_border: bool) -> None:
    for n, window, stride, padding in itertools.product(
        range(1, 10), range(1, 6), range(1, 7), (0, 1)
    ):
        if padding and (window == 1 or not ignore_border):
            continue
        starts = _starts(n, window, stride, padding, ignore_border)
        assert pooled_length(n, window, stride, padding, ignore_border) == len(starts)


def test_a_window_larger_than_the_image(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], pool.pool_2d(x, (5, 5), ignore_border=True))
    with pytest.raises(ValueError, match=r"(?s)leaves nothing.*test_pool.py"):
        function(TIED)


ERRORS: list[tuple[Any, str]] = [
    (lambda x: pool.pool_2d(x), "needs ws"),
    (lambda x: pool.pool_2d(x, (2, 2), ds=(2, 2)), "ws and ds are one argument"),
    (lambda x: pool.pool_2d(x, (2, 2), stride=(1, 1), st=(1, 1)), "stride and st are one argument"),
    (
        lambda x: pool.pool_2d(x, (2, 2), mode="median"),
        "the mode of pool_2d is 'median'; it can be 'max', ",
    ),
    (lambda x: pool.pool_2d(x, (2, 0)), "the pool's window is"),
    (lambda x: pool.pool_2d(x, (2, 2), stride=(0, 1)), "the pool's stride is"),
    (lambda x: pool.pool_2d(x, (2, 2), pad=(1, 1)), "padding goes with ignore_border=True"),
    (lambda x: pool.pool_2d(x, (2, 2), True, pad=(2, 0)), "must be less than the window"),
    (lambda x: pool.pool_2d(x[0], (2, 2)), "pooling takes floats with 2 or more dimensions"),
    (lambda x: pool.pool_2d(T.imatrix(), (2, 2)), "pooling takes floats"),
    (lambda x: pool.max_pool_2d_same_size(x, 0), "the pool's window is 0"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors_when_an_expression_is_made(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(T.matrix())
