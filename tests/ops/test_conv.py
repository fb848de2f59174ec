"""Convolution: values against loops, gradients, declared shapes, errors."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import abstract_conv, conv, conv2d

_rng = np.random.default_rng(7)
X = _rng.normal(size=(2, 3, 6, 5))
W = _rng.normal(size=(4, 3, 3, 2))


def convolve(
    x: AnyArray,
    w: AnyArray,
    padding: tuple[Any, Any] = (0, 0),
    stride: tuple[int, int] = (1, 1),
    flip: bool = True,
) -> AnyArray:
    """Convolution position by position; a padding is one number or two for either axis."""
    x = np.pad(x, ((0, 0), (0, 0), *(p if isinstance(p, tuple) else (p, p) for p in padding)))
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


SMALL_X, SMALL_W = X[:2, :2, :5, :4], W[:2, :2, :3, :2]
BORDERS: dict[Any, tuple[Any, Any]] = {
    "valid": (0, 0),
    "full": (2, 1),
    "half": (1, 1),
    2: (2, 2),
    (1, 0): (1, 0),
    ((1, 0), (0, 2)): ((1, 0), (0, 2)),
    ((1, 1), (2, 2)): (1, 2),
}
CASES += [
    case(
        f"border {mode}, strides {stride}, flip {flip}",
        SMALL_X,
        SMALL_W,
        mode=mode,
        padding=padding,
        stride=stride,
        flip=flip,
    )
    for (mode, padding), stride, flip in product(
        BORDERS.items(), [(1, 1), (2, 1), (2, 3)], [True, False]
    )
]
CASES += [
    Case(
        f"second derivatives, border {mode}",
        lambda x, w, mode=mode: (
            T.sum(T.sqr(T.grad(T.sum(conv2d(x, w, border_mode=mode, subsample=(2, 1)) ** 2), x)))
            + T.sum(T.sqr(T.grad(T.sum(conv2d(x, w, border_mode=mode, subsample=(2, 1)) ** 2), w)))
        ),
        lambda x, w, padding=padding: _squared_gradients(x, w, padding),
        (SMALL_X[:1], SMALL_W),
    )
    for mode, padding in [("full", (2, 1)), (((1, 0), (0, 2)), ((1, 0), (0, 2)))]
]


def _squared_gradients(x: AnyArray, w: AnyArray, padding: tuple[Any, Any]) -> float:
    """The squares of both gradients of sum(conv(x, w, stride (2, 1)) ** 2), added up."""
    pads = [p if isinstance(p, tuple) else (p, p) for p in padding]
    padded = np.pad(x, ((0, 0), (0, 0), *pads))
    g, flipped = 2 * convolve(x, w, padding, (2, 1)), w[:, :, ::-1, ::-1]
    dx, dw = np.zeros_like(padded), np.zeros_like(w)
    for r, c in np.ndindex(*g.shape[2:]):
        patch = np.s_[:, :, 2 * r : 2 * r + 3, c : c + 2]
        dx[patch] += np.einsum("no,ochw->nchw", g[:, :, r, c], flipped)
        dw += np.einsum("no,nchw->ochw", g[:, :, r, c], padded[patch])
    (top, _), (left, _) = pads
    inside = dx[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    return float((inside**2).sum() + (dw**2).sum())


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


test_value, test_gradient = make_tests(CASES)


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
    with pytest.raises(ValueError, match=r"(?s)input_shape is \(None, 3, 6, 5\).*test_conv.py"):
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


def test_declared_shapes_leave_a_border_of_zeros_out(device: str) -> None:
    x, w = T.tensor4("x", "float64"), T.tensor4("w", "float64")
    border = ((1, 0), (0, 2))
    function = theano.function([x, w], conv2d(x, w, X.shape, (4, None, 3, 2), border))
    np.testing.assert_allclose(function(X, W), convolve(X, W, border), rtol=1e-12)
    with pytest.raises(ValueError, match=r"input_shape is \(2, 3, 6, 5\), .* \(2, 3, 5, 5\)"):
        function(X[:, :, :5], W)


@pytest.mark.parametrize("border", ["valid", "half", (2, 0), ((1, 0), (0, 2))], ids=str)
@pytest.mark.parametrize("flip", [True, False])
def test_gradient_functions(device: str, border: Any, flip: bool) -> None:
    """They equal what `grad` gives for conv2d, also where several input shapes have this output."""
    x, w, g = (T.tensor4(name, "float64") for name in "xwg")
    how = {"border_mode": border, "subsample": (2, 2), "filter_flip": flip}
    y = conv2d(x, w, **how)
    weights = _rng.normal(size=evaluate(device, [x, w], y, X, W).shape)
    wanted = evaluate(device, [x, w, g], T.grad(T.sum(y * g), [x, w]), X, W, weights)
    by_inputs = abstract_conv.conv2d_grad_wrt_inputs(
        g, w, (None, None, x.shape[2], 5), (4, 3, None, None), **how
    )
    by_weights = abstract_conv.conv2d_grad_wrt_weights(x, g, (None, 3, 3, 2), X.shape, **how)
    results = evaluate(device, [x, w, g], [by_inputs, by_weights], X, W, weights)
    for result, exact in zip(results, wanted, strict=True):
        np.testing.assert_allclose(result, exact, rtol=1e-12, atol=1e-12)


def test_a_shape_may_be_symbolic(device: str) -> None:
    x, w, g = (T.tensor4(name, "float64") for name in "xwg")
    by_inputs = abstract_conv.conv2d_grad_wrt_inputs(g, w, x.shape)
    by_weights = abstract_conv.conv2d_grad_wrt_weights(x, g, w.shape)
    weights = np.ones((2, 4, 4, 4))
    results = evaluate(device, [x, w, g], [by_inputs, by_weights], X, W, weights)
    wanted = evaluate(device, [x, w], T.grad(T.sum(conv2d(x, w)), [x, w]), X, W)
    for result, exact in zip(results, wanted, strict=True):
        np.testing.assert_allclose(result, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("border", ["valid", "full", "half", 1, (2, 0), ((1, 0), (0, 2))], ids=str)
@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 3), (2, 1))])
def test_the_shape_of_a_result(border: Any, stride: Any, dilation: Any) -> None:
    x, w = T.tensor4("x", "float64"), T.tensor4("w", "float64")
    y = conv2d(x, w, border_mode=border, subsample=stride, filter_dilation=dilation)
    how = border, stride, dilation
    expected = evaluate("cpu", [x, w], y.shape, X, W)
    assert abstract_conv.get_conv_output_shape(X.shape, W.shape, *how) == tuple(expected)
    symbolic = T.stack(
        *abstract_conv.get_conv_output_shape(tuple(x.shape[i] for i in range(4)), W.shape, *how)
    )
    np.testing.assert_array_equal(evaluate("cpu", [x], symbolic, X), expected)
    unknown = abstract_conv.get_conv_output_shape((None, 3, None, 5), W.shape, *how)
    assert unknown == (None, 4, None, expected[3])


def test_gradients_of_other_shapes(device: str) -> None:
    w, g = T.tensor4("w", "float64"), T.tensor4("g", "float64")
    back = abstract_conv.conv2d_grad_wrt_inputs(g, w, (None, None, 6, 5), (4, 3, 3, 2))
    function = theano.function([w, g], back)
    assert function(W, np.ones((2, 4, 4, 4))).shape == (2, 3, 6, 5)
    with pytest.raises(
        ValueError, match=r"(?s)gradient has shape \(2, 4, 4, 3\).*give \(2, 4, 4, 4\)"
    ):
        function(W, np.ones((2, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"filter_shape is \(4, 3, 3, 2\), .* \(4, 2, 3, 2\)"):
        function(W[:, :2], np.ones((2, 4, 4, 4)))


ERRORS: list[tuple[Any, str]] = [
    (lambda x: conv2d(x[0], x), "input has to have four dimensions; it is float32 tensor3"),
    (lambda x: conv2d(x, x[0]), "filters has to have four dimensions"),
    (lambda x: conv2d(x, x, (1, 1, 1, -1)), r"input_shape is .* -1 is neither None nor an int"),
    (lambda x: conv2d(x, x, None, (1, 1, 1, 2.5)), r"filter_shape is .* 2.5 is neither None"),
    (lambda x: conv2d(x, x, border_mode=((1, 1), 2.5)), "a pair of border_mode is 2.5"),
    (lambda x: conv2d(x, x, filter_dilation=0), "filter_dilation is 0; it is two ints >= 1"),
    (lambda x: conv2d(x, x, num_groups=0), "num_groups is 0; it must be at least 1"),
    (lambda x: conv2d(x, x, logical=True), "conv2d has no argument 'logical'"),
    (lambda x: conv2d(x, x, unshared=True), "unshared is True; filters are the same"),
    (
        lambda x: abstract_conv.conv2d_grad_wrt_inputs(x, x, (1, 1, None, 2)),
        "input_shape is .* None can't be found",
    ),
    (
        lambda x: abstract_conv.conv2d_grad_wrt_weights(x, x, (1, 1, 2)),
        "filter_shape is .* it has four lengths",
    ),
    (lambda x: conv2d(x, x, input_shape=(1, 2, 3)), "it has four numbers"),
    (lambda x: conv2d(x, x, (1, 1, 1, 1), image_shape=(1, 1, 1, 1)), "two names of one argument"),
    (lambda x: conv2d(x, x, border_mode="same"), "border_mode is 'same'"),
    (lambda x: conv2d(x, x, border_mode=(1, -1)), r"border_mode is \(1, -1\); it is two ints >= 0"),
    (lambda x: conv2d(x, x, subsample=(0, 1)), r"subsample is \(0, 1\); it is two ints >= 1"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors_when_an_expression_is_made(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(T.tensor4())
