"""Convolution: values against loops, gradients, declared shapes, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, check_forward, check_gradient, evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import conv, conv2d

_rng = np.random.default_rng(7)
X = _rng.normal(size=(2, 3, 6, 5))
W = _rng.normal(size=(4, 3, 3, 2))


def convolve(
    x: AnyArray,
    w: AnyArray,
    padding: tuple[int, int] = (0, 0),
    stride: tuple[int, int] = (1, 1),
    flip: bool = True,
) -> AnyArray:
    """Convolution position by position."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    w = w[:, :, ::-1, ::-1] if flip else w
    height, width = w.shape[2:]
    rows = range(0, x.shape[2] - height + 1, stride[0])
    columns = range(0, x.shape[3] - width + 1, stride[1])
    patches = [[x[:, :, r : r + height, c : c + width] for c in columns] for r in rows]
    return np.array([[np.einsum("nchw,ochw->no", p, w) for p in row] for row in patches]).transpose(
        2, 3, 0, 1
    )


def case(
    name: str, x: AnyArray = X, w: AnyArray = W, stretched: tuple[int, ...] = (), **how: Any
) -> Case:
    words = {
        "border_mode": how.get("mode", how.get("padding", "valid")),
        "subsample": how.get("stride", (1, 1)),
        "filter_flip": how.get("flip", True),
    }
    numbers = {k: how[k] for k in ("padding", "stride", "flip") if k in how}
    return Case(
        name,
        lambda a, b: conv2d(a, b, **words),
        lambda a, b: convolve(a, b, **numbers),
        (x, w),
        stretched,
    )


CASES = [
    case("valid"),
    case("full", mode="full", padding=(2, 1)),
    case("half", mode="half", padding=(1, 1)),
    case("padding", padding=(1, 3)),
    case("one padding", mode=2, padding=(2, 2)),
    case("strides", stride=(2, 1)),
    case("strides that leave a border", stride=(2, 2)),
    case("strides and padding", stride=(3, 2), padding=(2, 1)),
    case("cross-correlation", flip=False),
    case("cross-correlation with strides", flip=False, stride=(1, 2), padding=(1, 0)),
    case("one position", x=X[:, :, :3, :2]),
    case("1 x 1 filters", w=W[:, :, :1, :1]),
    case("one image, one filter", x=X[:1], w=W[:1], stretched=(0, 1)),
    case("one channel", x=X[:, :1], w=W[:, :1]),
    Case(
        "squared, summed over filters",
        lambda x, w: T.sum(conv2d(x, w) ** 2, axis=1),
        lambda x, w: (convolve(x, w) ** 2).sum(1),
        (X, W),
    ),
    Case(
        "bias and activation",
        lambda x, w, b: T.tanh(conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")),
        lambda x, w, b: np.tanh(convolve(x, w) + b[:, None, None]),
        (X, W, W[:, 0, 0, 0].copy()),
    ),
    Case(
        "of a slice",
        lambda x, w: conv2d(x[::-1, 1:, ::2], w[:, :2]),
        lambda x, w: convolve(x[::-1, 1:, ::2], w[:, :2]),
        (X, W),
    ),
    Case(
        "two layers",
        lambda x, w, v: conv2d(conv2d(x, w), v),
        lambda x, w, v: convolve(convolve(x, w), v),
        (X[:1], W[:2], _rng.normal(size=(2, 2, 2, 2))),
    ),
    Case(
        "second derivative by images",
        lambda x, w: T.grad(T.sum(conv2d(x, w, border_mode=1) ** 3), x),
        lambda x, w: _grad_of_cubes(x, w),
        (X[:1, :, :4, :3], W[:2]),
        gradient=True,
    ),
    Case(
        "second derivative by filters",
        lambda x, w: T.grad(T.sum(conv2d(x, w, subsample=(2, 1)) ** 2), w),
        lambda x, w: _filter_grad_of_squares(x, w),
        (X[:1, :, :5], W[:2]),
    ),
]


def _grad_of_cubes(x: AnyArray, w: AnyArray) -> AnyArray:
    """The gradient of sum(conv(x, w, padding 1) ** 3) by x, tap by tap."""
    g = 3 * convolve(x, w, (1, 1)) ** 2
    padded = np.zeros((1, 3, x.shape[2] + 2, x.shape[3] + 2))
    for r in range(g.shape[2]):
        for c in range(g.shape[3]):
            patch = np.einsum("no,ochw->nchw", g[:, :, r, c], w[:, :, ::-1, ::-1])
            padded[:, :, r : r + 3, c : c + 2] += patch
    return padded[:, :, 1:-1, 1:-1]


def _filter_grad_of_squares(x: AnyArray, w: AnyArray) -> AnyArray:
    """The gradient of sum(conv(x, w, stride (2, 1)) ** 2) by w, tap by tap."""
    g = 2 * convolve(x, w, stride=(2, 1))
    result = np.zeros_like(w)
    for r in range(g.shape[2]):
        for c in range(g.shape[3]):
            patch = x[:, :, 2 * r : 2 * r + 3, c : c + 2]
            result += np.einsum("no,nchw->ochw", g[:, :, r, c], patch)
    return result[:, :, ::-1, ::-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_value(case: Case, device: str, dtype: str) -> None:
    check_forward(case, device, dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case: Case, device: str) -> None:
    check_gradient(case, device)


def test_the_older_argument_order(device: str) -> None:
    x, w = T.tensor4("x", "float64"), T.tensor4("w", "float64")
    y = conv.conv2d(input=x, filters=w, filter_shape=W.shape, image_shape=X.shape)
    np.testing.assert_allclose(evaluate(device, [x, w], y, X, W), convolve(X, W), rtol=1e-12)
    y = conv.conv2d(x, w, X.shape, W.shape, "full", (2, 2))
    expected = convolve(X, W, (2, 1), (2, 2))
    np.testing.assert_allclose(evaluate(device, [x, w], y, X, W), expected, rtol=1e-12)


def test_equal_patches_give_equal_bits(device: str) -> None:
    x = np.tile(_rng.normal(size=(1, 3, 1, 1)), (2, 1, 9, 8)).astype("float32")
    a, b = T.tensor4("a", "float32"), T.tensor4("b", "float32")
    result = evaluate(device, [a, b], conv2d(a, b), x, W.astype("float32"))
    assert all(len(np.unique(result[:, o])) == 1 for o in range(4))


def test_declared_shapes_are_checked(device: str) -> None:
    x, w = T.tensor4("x", "float64"), T.tensor4("w", "float64")
    function = theano.function(
        [x, w], conv2d(x, w, input_shape=(None, 3, 6, 5), filter_shape=W.shape)
    )
    assert function(X, W).shape == (2, 4, 4, 4)
    assert function(X[:1], W).shape == (1, 4, 4, 4)
    with pytest.raises(ValueError, match=r"(?s)image_shape is \(None, 3, 6, 5\).*test_conv.py"):
        function(X[:, :, :5], W)
    with pytest.raises(ValueError, match="filter_shape is"):
        function(X, W[:2])


def test_shapes_that_do_not_fit(device: str) -> None:
    x, w = T.tensor4("x", "float64"), T.tensor4("w", "float64")
    function = theano.function([x, w], conv2d(x, w))
    with pytest.raises(ValueError, match=r"(?s)have 3 channels.*have 2.*made at .*test_conv.py"):
        function(X, W[:, :2])
    with pytest.raises(ValueError, match="doesn't fit images"):
        function(X[:, :, :2], W)


ERRORS: list[tuple[Any, str]] = [
    (lambda x: conv2d(x[0], x), "conv2d takes two 4-d tensors"),
    (lambda x: conv2d(x, x, input_shape=(1, 2, 3)), "it has four numbers"),
    (lambda x: conv2d(x, x, (1, 1, 1, 1), image_shape=(1, 1, 1, 1)), "which are one thing"),
    (lambda x: conv2d(x, x, border_mode="same"), "border_mode is 'same'"),
    (lambda x: conv2d(x, x, border_mode=(1, -1)), r"border_mode is \(1, -1\); it is two ints >= 0"),
    (lambda x: conv2d(x, x, subsample=(0, 1)), r"subsample is \(0, 1\); it is two ints >= 1"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors_when_an_expression_is_made(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(T.tensor4())
