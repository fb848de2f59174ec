"""Theano's `signal`: convolution of images without channels, pools as classes; `nnet.conv`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import conv as nnet_conv
from tinygrad_mnist.tensor.signal import conv, downsample, pool

_rng = np.random.default_rng(14)
IMAGES = _rng.normal(size=(2, 6, 5))
FILTERS = _rng.normal(size=(3, 3, 2))


def convolve(
    x: AnyArray, w: AnyArray, padding: tuple[int, int] = (0, 0), stride: int = 1
) -> AnyArray:
    """Of any numbers of axes before the last two, which the result has one after the other."""
    x = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(p, p) for p in padding])
    w = w[..., ::-1, ::-1]
    height, width = w.shape[-2:]
    rows = [
        [
            np.tensordot(x[..., r : r + height, c : c + width], w, ((-2, -1), (-2, -1)))
            for c in range(0, x.shape[-1] - width + 1, stride)
        ]
        for r in range(0, x.shape[-2] - height + 1, stride)
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


CASES = [
    Case(f"{x.ndim} and {w.ndim} axes", conv.conv2d, convolve, (x, w))
    for x in (IMAGES, IMAGES[0])
    for w in (FILTERS, FILTERS[0])
]
CASES += [
    Case(
        "full, with strides and declared shapes",
        lambda x, w: conv.conv2d(x, w, (2, None, 5), (3, 2), "full", (2, 2), openmp=False),
        lambda x, w: convolve(x, w, (2, 1), 2),
        (IMAGES, FILTERS[0]),
    ),
    Case(
        "one image of three axes",
        lambda x, w: conv.conv2d(x, w, filter_shape=(3, 3, 2)),
        convolve,
        (IMAGES[:1], FILTERS),
        (0,),
    ),
    Case(
        "Pool",
        lambda x: pool.Pool(ignore_border=True, mode="sum")(x, (2, 2), stride=(1, 1)),
        lambda x: sum(x[:, r : r + 5, c : c + 4] for r in (0, 1) for c in (0, 1)),
        (IMAGES,),
    ),
    Case(
        "DownsampleFactorMax",
        lambda x: downsample.DownsampleFactorMax((3, 5))(x),
        lambda x: x.reshape(2, 2, 3, 1, 5).max(axis=(2, 4)),
        (IMAGES,),
    ),
]

test_value, test_gradient = make_tests(CASES)


def test_options_of_the_older_module_change_nothing(device: str) -> None:
    x, w = T.dtensor4("x"), T.dtensor4("w")
    y = nnet_conv.conv2d(x, w, unroll_batch=2, unroll_kern=3, unroll_patch=True, version=-1)
    values = IMAGES[None], FILTERS[None, :2]
    plain = evaluate(device, [x, w], T.nnet.conv2d(x, w), *values)
    np.testing.assert_array_equal(evaluate(device, [x, w], y, *values), plain)


def test_declared_shapes_are_checked() -> None:
    x, w = T.dmatrix("x"), T.dmatrix("w")
    function = theano.function([x, w], conv.conv2d(x, w, image_shape=(6, 4)))
    with pytest.raises(ValueError, match=r"(?s)input_shape is \(1, 1, 6, 4\).*test_signal"):
        function(IMAGES[0], FILTERS[0])


ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: conv.conv2d(T.tensor4(), T.matrix()), "input has to be a matrix or have three axes"),
    (lambda: conv.conv2d(T.matrix(), T.vector()), "filters has to be a matrix or have three axes"),
    (lambda: conv.conv2d(T.matrix(), T.matrix(), (1, 2, 3)), "shape of input is .* has 2 numbers"),
    (lambda: conv.conv2d(T.matrix(), T.matrix(), logical=1), "conv2d has no argument 'logical'"),
    (lambda: nnet_conv.conv2d(T.tensor4(), T.tensor4(), foo=1), "conv2d has no argument 'foo'"),
    (lambda: pool.Pool(ndim=3), "ndim of Pool is 3; only 2"),
    (lambda: pool.Pool(mode="min"), "the mode of Pool is 'min'"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()
