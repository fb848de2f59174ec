from __future__ import annotations

import numpy as np
import pytest
from helpers.long_sums import DTYPES, KINDS, assert_accurate, terms, wide
from helpers.native import TARGETS, run_kernel

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.pool2d.average_pool2d import SUM

# Windows, each of which is the whole image.
WINDOWS = [(1, 256), (17, 19), (64, 64), (3, 1000), (512, 512)]
OVERLAPPING = [(1, 300), (17, 19)]  # of which all cover one pixel


def geometry(window):
    return {"window": window, "stride": (1, 1), "padding": (0, 0)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_windows_of_any_size(target, dtype, kind):
    for window in WINDOWS:
        x, spec = terms(kind, (1, 1, *window), dtype), ArraySpec(dtype, (1, 1, 1, 1))
        params = {**geometry(window), "count": SUM}
        [sums] = run_kernel("average_pool2d", [x], [spec], params, target)
        assert_accurate(sums, wide(x), (2, 3))
        if x.size > 5000:
            continue
        winners = np.full((1, 1, 1, 1, -(-x.size // 8)), 255, np.uint8)
        [sums] = run_kernel("pool2d_gather", [x, winners], [spec], geometry(window), target)
        assert_accurate(sums, wide(x), (2, 3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_gradients_of_a_pixel_in_many_windows(target, dtype, kind):
    for window in OVERLAPPING:
        g = terms(kind, (1, 1, *window), dtype)
        spec = ArraySpec(dtype, (1, 1, *(2 * n - 1 for n in window)))
        params = {**geometry(window), "count": SUM}
        [dx] = run_kernel("average_pool2d_grad", [g], [spec], params, target)
        pixel = dx[..., window[0] - 1, window[1] - 1]
        assert_accurate(pixel, wide(g), (2, 3))
        winners = np.full((*g.shape, -(-g.size // 8)), 255, np.uint8)
        [dx] = run_kernel("pool2d_grad", [g, winners], [spec], geometry(window), target)
        assert_accurate(dx[..., window[0] - 1, window[1] - 1], wide(g), (2, 3))
