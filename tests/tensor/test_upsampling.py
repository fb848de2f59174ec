"""Bilinear upsampling: values against an interpolation, gradients, the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, make_tests

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet.abstract_conv import (
    bilinear_kernel_1D,
    bilinear_kernel_2D,
    bilinear_upsampling,
)

X = np.random.default_rng(13).normal(size=(2, 2, 3, 2))


def upsampled(x: AnyArray, ratio: int) -> AnyArray:
    """Linear interpolation along rows and then columns; ends are repeated."""
    for axis in (2, 3):
        n = x.shape[axis]
        at = np.clip((np.arange(n * ratio) - (ratio - 1) // 2) / ratio, 0, n - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        above = np.take(x, np.minimum(low + 1, n - 1), axis)
        x = np.take(x, low, axis) * (1 - share) + above * share
    return x


CASES = [
    Case(
        f"ratio {ratio}",
        lambda x, ratio=ratio: bilinear_upsampling(x, ratio),
        lambda x, ratio=ratio: upsampled(x, ratio),
        (X,),
    )
    for ratio in (1, 2, 3, 4, 5)
]
CASES += [
    Case(
        "Theano's other arguments",
        lambda x: bilinear_upsampling(x, 2, None, 2, 2, use_1D_kernel=False),
        lambda x: upsampled(x, 2),
        (X,),
    ),
    Case(
        "of one pixel",
        lambda x: T.nnet.abstract_conv.bilinear_upsampling(x, ratio=3),
        lambda x: np.broadcast_to(x, (2, 2, 3, 3)),
        (X[:, :, :1, :1],),
    ),
]

test_value, test_gradient = make_tests(CASES)


def test_weights() -> None:
    np.testing.assert_array_equal(bilinear_kernel_1D(3, normalize=False).eval(), [1, 2, 3, 2, 1])
    row = bilinear_kernel_1D(2).eval()
    np.testing.assert_array_equal(row, [0.5, 1, 0.5])
    np.testing.assert_array_equal(bilinear_kernel_2D(2).eval(), np.outer(row, row))


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"ratio": 0}, "ratio is 0; it must be at least 1"),
    ({"ratio": None}, "ratio is None; it must be an integer"),
    ({"frac_ratio": (3, 2)}, r"frac_ratio is \(3, 2\); only an integer ratio"),
]


@pytest.mark.parametrize(("how", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_ratios_that_are_none(how: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        bilinear_upsampling(T.tensor4(), **how)
