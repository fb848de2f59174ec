"""Ops of `nnet` that are composed of kernels, on a GPU or in the simulator, against the reference:
dilated filters, groups, neighbourhoods, softmax along any axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.gpu import BACKEND

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import config
from tinygrad_mnist.tensor.nnet import conv2d
from tinygrad_mnist.tensor.nnet.abstract_conv import bilinear_upsampling
from tinygrad_mnist.tensor.nnet.neighbours import images2neibs

pytestmark = [pytest.mark.sim, pytest.mark.gpu]

_rng = np.random.default_rng(15)
X = _rng.normal(size=(1, 2, 5, 4)).astype("float32")

EXPRESSIONS: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "dilation": ((2, 2, 2, 2), lambda x, w: conv2d(x, w, filter_dilation=(2, 1), border_mode=1)),
    "dilation and strides": (
        (2, 2, 2, 2),
        lambda x, w: conv2d(x, w, filter_dilation=(3, 2), subsample=(2, 1), border_mode=1),
    ),
    "groups": ((2, 1, 3, 2), lambda x, w: conv2d(x, w, num_groups=2)),
    "neighbourhoods": (
        (1, 1, 1, 1),
        lambda x, w: images2neibs(x, (3, 3), (2, 1), "full") * w[0, 0],
    ),
    "wrapped": (
        (1, 1, 1, 1),
        lambda x, w: images2neibs(x, (3, 1), (2, 1), "wrap_centered") * w[0, 0],
    ),
    "softmax of channels": ((1, 2, 5, 4), lambda x, w: T.nnet.softmax(x * w, axis=1)),
    "softmax of the last axis": ((1, 2, 5, 4), lambda x, w: T.nnet.log_softmax(x * w)),
    "upsampling": ((1, 2, 5, 4), lambda x, w: bilinear_upsampling(x * w, 2)),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_value_and_gradients(name: str) -> None:
    shape, expression = EXPRESSIONS[name]
    weights = _rng.normal(size=shape).astype("float32")
    x, w = T.ftensor4("x"), T.tensor("float32", [n == 1 for n in shape], "w")
    y = expression(x, w)
    outputs = [y, *T.grad(T.sum(T.sqr(y)), [x, w])]
    results = []
    for device in (BACKEND, "reference"):
        config.device = device
        results.append(theano.function([x, w], outputs)(X, weights))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
