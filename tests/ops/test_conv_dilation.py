"""Dilated filters and groups of channels: values against loops, derivatives of two orders, FLOPs,
ties, transposed convolutions, Theano's classes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, evaluate, make_tests
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import abstract_conv, conv2d
from tinygrad_mnist.tensor.nnet.abstract_conv import (
    AbstractConv2d,
    AbstractConv2d_gradInputs,
    AbstractConv2d_gradWeights,
    causal_conv1d,
    conv2d_grad_wrt_inputs,
    conv2d_grad_wrt_weights,
    conv2d_transpose,
    separable_conv2d,
)

Pair = tuple[int, int]
_rng = np.random.default_rng(11)
X = _rng.normal(size=(2, 4, 8, 7))
W = _rng.normal(size=(4, 4, 3, 2))


def spread(w: AnyArray, dilation: Pair) -> AnyArray:
    """The filters with zeros in their gaps."""
    rows, columns = ((k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation, strict=True))
    result = np.zeros((*w.shape[:2], rows, columns))
    result[:, :, :: dilation[0], :: dilation[1]] = w
    return result


def padding_of(border: Any, size: Pair) -> tuple[Pair, Pair]:
    """Zeros (above, below), (left, right) of an image, for filters of a size."""
    if isinstance(border, str):
        border = [{"valid": 0, "full": k - 1, "half": k // 2}[border] for k in size]
    if isinstance(border, int):
        border = (border, border)
    rows, columns = (p if isinstance(p, tuple) else (p, p) for p in border)
    return rows, columns


def convolve(
    x: AnyArray,
    w: AnyArray,
    border: Any = "valid",
    stride: Pair = (1, 1),
    flip: bool = True,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> AnyArray:
    """Convolution element by element of the filters and group by group."""
    w = w[:, :, ::-1, ::-1] if flip else w
    taps = w.shape[2:]
    height, width = ((k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True))
    x = np.pad(x, ((0, 0), (0, 0), *padding_of(border, (height, width))))
    y = []
    for images, filters in zip(np.split(x, groups, 1), np.split(w, groups), strict=True):
        patches = [
            images[
                :,
                :,
                r * dilation[0] : images.shape[2] - height + 1 + r * dilation[0] : stride[0],
                c * dilation[1] : images.shape[3] - width + 1 + c * dilation[1] : stride[1],
            ]
            for r, c in np.ndindex(*taps)
        ]
        flat = np.moveaxis(filters.reshape(*filters.shape[:2], -1), 2, 0)
        y.append(sum(np.einsum("nchw,oc->nohw", p, v) for p, v in zip(patches, flat, strict=True)))
    return np.concatenate(y, axis=1)


def case(x: AnyArray, w: AnyArray, **how: Any) -> Case:
    words = {
        "border_mode": how.get("border", "valid"),
        "subsample": how.get("stride", (1, 1)),
        "filter_flip": how.get("flip", True),
        "filter_dilation": how.get("dilation", (1, 1)),
        "num_groups": how.get("groups", 1),
    }
    return Case(
        f"x {x.shape}, w {w.shape}, {how}",
        lambda a, b: conv2d(a, b, **words),
        lambda a, b: convolve(a, b, **how),
        (x, w),
    )


def squares(x: Any, w: Any, how: dict[str, Any]) -> Any:
    """The squares of both gradients of sum(conv2d ** 2): their gradients are second derivatives."""
    y = T.sum(conv2d(x, w, **how) ** 2)
    return T.sum(T.sqr(T.grad(y, x))) + T.sum(T.sqr(T.grad(y, w)))


BORDERS = ["valid", "full", "half", 1, (2, 1), ((1, 0), (0, 2))]
SMALL_X, SMALL_W = X[:1, :2, :7, :6], W[:2, :2]
CASES = [
    case(SMALL_X, SMALL_W, border=border, stride=stride, dilation=dilation, flip=flip)
    for border, (stride, dilation, flip) in product(
        BORDERS,
        [((1, 1), (2, 3), True), ((2, 3), (3, 2), False), ((2, 2), (2, 4), True)],
    )
]
CASES += [
    case(X[:1, :, :6, :5], W[:, : 4 // groups], border=border, stride=stride, groups=groups)
    for border, stride, groups in product(["valid", (2, 1)], [(1, 1), (2, 1)], [2, 4])
]
CASES += [
    case(X[:1], W[:, :2], border="half", stride=(1, 2), groups=2, dilation=(2, 3), flip=False),
    case(X[:1], W[:, :1], stride=(3, 1), groups=4, dilation=(2, 4)),
    case(X[:1, :2], W[:2, :2], dilation=(1, 5)),
    case(X[:1, :2], W[:2, :2], stride=(4, 4), dilation=(2, 6)),
    case(X[:1, :2], W[:2, :2, :1, :1], dilation=(4, 9)),
    case(X[:1, :2], W[:2, :2, :1], stride=(5, 1), dilation=(100, 3)),
    case(X[:1, :2, :5, :3], W[:2, :2], dilation=(2, 2)),
    case(X[:1, :3], _rng.normal(size=(6, 1, 3, 2)), groups=3, border=1),
]


def causal(x: AnyArray, w: AnyArray, stride: int, dilation: int, groups: int) -> AnyArray:
    before = dilation * (w.shape[2] - 1)
    padded = np.pad(x, ((0, 0), (0, 0), (before, 0)))[..., None]
    how = {"stride": (stride, 1), "dilation": (dilation, 1), "groups": groups}
    return convolve(padded, w[..., None], **how)[..., 0]


CASES += [
    Case(
        f"causal_conv1d, strides {stride}, dilation {dilation}, {groups} groups",
        lambda x, w, how=(stride, True, dilation, groups): causal_conv1d(
            x, w, (4, None, 3), (None, None, 9), *how
        ),
        lambda x, w, how=(stride, dilation, groups): causal(x, w, *how),
        (_rng.normal(size=(2, 2, 9)), _rng.normal(size=(4, 2 // groups, 3))),
    )
    for stride, dilation, groups in [(1, 1, 1), (1, 4, 2), (2, 3, 1)]
]
CASES += [
    Case(
        "separable_conv2d",
        lambda x, v, w: separable_conv2d(
            x, v, w, 2, border_mode="half", subsample=(2, 1), filter_dilation=(1, 2)
        ),
        lambda x, v, w: convolve(convolve(x, v, "half", (2, 1), dilation=(1, 2), groups=2), w),
        (X[:1, :2], W[:, :1], _rng.normal(size=(3, 4, 1, 1))),
    )
]


def test_shapes_of_the_loops() -> None:
    assert convolve(X, W[:, :2], groups=2, dilation=(3, 1)).shape == (2, 4, 2, 6)


test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize("border", ["valid", "full", ((1, 0), (0, 2))], ids=str)
@pytest.mark.parametrize(
    ("stride", "dilation", "groups"),
    [((1, 1), (2, 2), 1), ((2, 1), (3, 2), 2), ((1, 2), (1, 1), 2)],
)
def test_second_derivatives(
    device: str, border: Any, stride: Pair, dilation: Pair, groups: int
) -> None:
    """A dilated filter is one with zeros in its gaps, and a group one with zeros elsewhere: the
    same derivatives by the plain convolution, which has tests of its own."""
    x, w = T.dtensor4("x"), T.dtensor4("w")
    small = W[:, : 4 // groups]
    how = {"border_mode": border, "subsample": stride}
    special = squares(x, w, {**how, "filter_dilation": dilation, "num_groups": groups})
    rows, columns = spread(small, dilation).shape[2:]
    gaps = T.zeros((4, small.shape[1], rows, columns), dtype="float64")
    full = T.set_subtensor(gaps[:, :, :: dilation[0], :: dilation[1]], w)
    n = 4 // groups
    parts = [
        conv2d(x[:, k * n : (k + 1) * n], full[k * n : (k + 1) * n], **how) for k in range(groups)
    ]
    y = T.sum(T.concatenate(parts, axis=1) ** 2)
    plain = T.sum(T.sqr(T.grad(y, x))) + T.sum(T.sqr(T.grad(y, w)))
    values = X[:1, :, :7, :6], small
    found = evaluate(device, [x, w], [special, *T.grad(special, [x, w])], *values)
    exact = evaluate(device, [x, w], [plain, *T.grad(plain, [x, w])], *values)
    for result, expected in zip(found, exact, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-8)


@given(
    st.tuples(*[st.integers(1, 9)] * 2),
    st.tuples(*[st.integers(1, 3)] * 2),
    st.tuples(*[st.integers(1, 5)] * 2),
    st.tuples(*[st.integers(1, 5)] * 2),
    st.tuples(*[st.integers(0, 3)] * 2),
    st.integers(1, 3),
    st.integers(0, 2),
)
def test_any_geometry(
    size: Pair, taps: Pair, stride: Pair, dilation: Pair, padding: Pair, groups: int, batch: int
) -> None:
    """Values, and both gradients: each is the adjoint of the convolution in one operand."""
    spans = [
        n + 2 * p - (k - 1) * d for n, p, k, d in zip(size, padding, taps, dilation, strict=True)
    ]
    rng = np.random.default_rng(sum(size))
    x = rng.integers(-4, 5, size=(batch, 2 * groups, *size)).astype("float64")
    w = rng.integers(-4, 5, size=(groups, 2, *taps)).astype("float64")
    a, b, g = T.dtensor4("a"), T.dtensor4("b"), T.dtensor4("g")
    how = {
        "border_mode": padding,
        "subsample": stride,
        "filter_dilation": dilation,
        "num_groups": groups,
    }
    y = conv2d(a, b, **how)
    function = theano.function([a, b], y)
    if min(spans) < 1:
        with pytest.raises(ValueError, match="doesn't fit images"):
            function(x, w)
        return
    result = function(x, w)
    np.testing.assert_array_equal(result, convolve(x, w, padding, stride, True, dilation, groups))
    weights = rng.integers(-4, 5, size=result.shape).astype("float64")
    gradients = theano.function([a, b, g], T.grad(T.sum(y * g), [a, b]))
    dx, dw = gradients(x, w, weights)
    total = (result * weights).sum()
    assert (dx * x).sum() == total
    assert (dw * w).sum() == total


@pytest.mark.parametrize(("dilation", "groups"), [((2, 2), 1), ((3, 1), 2), ((1, 1), 4)])
def test_as_many_products_as_without(dilation: Pair, groups: int) -> None:
    """The kernels' FLOPs are those of the filters' own taps, but for phases that are not full."""
    x, w = T.ftensor4("x"), T.ftensor4("w")
    y = conv2d(x, w, filter_dilation=dilation, num_groups=groups, border_mode="half")
    function = theano.function([x, w], [y, *T.grad(T.sum(T.sqr(y)), [x, w])])
    filters = _rng.normal(size=(8, 8 // groups, 3, 3)).astype("float32")
    function(_rng.normal(size=(2, 8, 12, 12)).astype("float32"), filters)
    calls = [c for c in function.plan.calls if c.kernel.startswith("conv2d")]
    assert len(calls) == 3 * groups
    epilogues = sum(c.outputs[0].layout.size for c in calls)  # of a result, at most one per element
    flops = sum(c.flops for c in calls)
    assert 0 <= flops - 3 * 2 * 2 * 144 * filters.size <= 2 * epilogues


def test_a_filter_of_one_pixel_has_no_gaps() -> None:
    x, w = T.ftensor4("x"), T.ftensor4("w")
    function = theano.function([x, w], conv2d(x, w, filter_dilation=3))
    function(X.astype("float32"), W[:, :, :1, :1].astype("float32"))
    assert [call.kernel for call in function.plan.calls] == ["conv2d"]


def test_equal_patches_give_equal_bits(device: str) -> None:
    x = np.tile(_rng.normal(size=(1, 4, 1, 1)), (2, 1, 11, 10)).astype("float32")
    a, b = T.ftensor4("a"), T.ftensor4("b")
    for dilation, groups in [((2, 3), 1), ((3, 2), 2)]:
        w = W[:, : 4 // groups].astype("float32")
        y = conv2d(a, b, filter_dilation=dilation, num_groups=groups)
        result = evaluate(device, [a, b], y, x, w)
        assert all(len(np.unique(result[:, o])) == 1 for o in range(4))


# --- gradients as functions and as classes --------------------------------------------------------

HOW: list[dict[str, Any]] = [
    {"border_mode": "valid"},
    {"border_mode": "half", "subsample": (2, 2), "filter_flip": False},
    {"border_mode": "valid", "filter_dilation": (2, 3)},
    {"border_mode": ((1, 0), (0, 2)), "filter_dilation": (2, 1), "num_groups": 2},
    {"border_mode": "full", "subsample": (2, 1), "num_groups": 4},
]


@pytest.mark.parametrize("how", HOW, ids=str)
def test_functions_and_classes_equal_grad(device: str, how: dict[str, Any]) -> None:
    w_value = W[:, : 4 // how.get("num_groups", 1)]
    x, w, g = (T.dtensor4(name) for name in "xwg")
    y = conv2d(x, w, **how)
    weights = _rng.normal(size=evaluate(device, [x, w], y, X, w_value).shape)
    dx, dw = T.grad(T.sum(y * g), [x, w])
    wanted = evaluate(device, [x, w, g], [y, dx, dw], X, w_value, weights)
    size = x.shape[2:]
    renamed = {"input_dilation" if k == "subsample" else k: v for k, v in how.items()}
    found = [
        AbstractConv2d(X.shape, w_value.shape, **how)(x, w),
        conv2d_grad_wrt_inputs(g, w, (None, None, 8, 7), **how),
        conv2d_grad_wrt_weights(x, g, (None, None, 3, 2), **how),
        conv2d_transpose(g, w, (2, 4, x.shape[2], 7), w_value.shape, **renamed),
        AbstractConv2d_gradInputs((None, 4, 8, 7), w_value.shape, **how)(w, g, size),
        AbstractConv2d_gradInputs(X.shape, None, **how)(w, g, (8, 7)),
        AbstractConv2d_gradWeights(X.shape, w_value.shape, **how)(x, g, w.shape[2:]),
        AbstractConv2d_gradWeights(None, (None, None, 3, 2), **how)(x, g, (3, 2)),
    ]
    numbers = [0, 1, 2, 1, 1, 1, 2, 2]
    results = evaluate(device, [x, w, g], found, X, w_value, weights)
    for result, number in zip(results, numbers, strict=True):
        np.testing.assert_allclose(result, wanted[number], rtol=1e-12, atol=1e-12)


def test_a_dilated_convolution_as_a_gradient_by_weights(device: str) -> None:
    """With batch and channels exchanged, the gradient by the filters of a convolution with strides
    is a convolution with a dilated filter: libraries had it this way before `filter_dilation`."""
    x, w = T.dtensor4("x"), T.dtensor4("w")
    op = AbstractConv2d_gradWeights(
        imshp=(4, None, 8, 7),
        kshp=(4, None, None, None),
        subsample=(2, 3),
        border_mode="valid",
        filter_flip=False,
    )
    y = op(x.transpose(1, 0, 2, 3), w.transpose(1, 0, 2, 3), (4, 4)).transpose(1, 0, 2, 3)
    expected = convolve(X, W, flip=False, dilation=(2, 3))
    np.testing.assert_allclose(evaluate(device, [x, w], y, X, W), expected, rtol=1e-10, atol=1e-12)


# --- errors ---------------------------------------------------------------------------------------


def test_channels_that_do_not_fit_groups(device: str) -> None:
    x, w = T.dtensor4("x"), T.dtensor4("w")
    function = theano.function([x, w], conv2d(x, w, num_groups=2))
    with pytest.raises(ValueError, match=r"(?s)4 channels, .* have 4 for each of 2.*test_conv_dil"):
        function(X, W)
    with pytest.raises(ValueError, match="3 filters can't be divided into 2 groups"):
        function(X, W[:3, :2])
    with pytest.raises(ValueError, match="doesn't fit images"):
        theano.function([x, w], conv2d(x, w, filter_dilation=4))(X, W)


def test_shapes_that_contradict_the_value(device: str) -> None:
    w, g = T.dtensor4("w"), T.dtensor4("g")
    back = AbstractConv2d_gradInputs((2, 4, 9, 7), W.shape)(w, g, (8, 7))
    with pytest.raises(ValueError, match=r"(?s)input_shape is \(2, 4, 9, 7\).*test_conv_dilation"):
        evaluate(device, [w, g], back, W, np.ones((2, 4, 6, 6)))
    x = T.dtensor4("x")
    y = conv2d(x, w, X.shape, (4, 4, 3, 2), num_groups=2, filter_dilation=2)
    with pytest.raises(ValueError, match=r"filter_shape is \(4, 4, 3, 2\), .* \(4, 2, 3, 2\)"):
        evaluate(device, [x, w], y, X, W[:, :2])


def test_a_size_of_two_lengths() -> None:
    with pytest.raises(TypeError, match="it is a height and a width"):
        AbstractConv2d_gradInputs()(T.tensor4(), T.tensor4(), (1, 2, 3))
    with pytest.raises(ValueError, match="unshared is True"):
        abstract_conv.AbstractConv2d(unshared=True)
