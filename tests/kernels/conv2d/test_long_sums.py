from __future__ import annotations

import numpy as np
import pytest
from helpers.layouts import relaid
from helpers.long_sums import DTYPES, KINDS, assert_accurate, terms, wide
from helpers.native import TARGETS, run_kernel

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape


def geometry(dtype):
    tape = Tape.identity(dtype)
    return {"stride": (1, 1), "padding": (0, 0), "flip": 0, "epilogue": tape}


# (images, channels, filters, height and width of the positions, size of the filters): book nets at
# batch 10; many images of one position; large images, lines longer than a run; several groups of
# channels.
POSITIONS = [
    (10, 1, 3, (24, 24), 5),
    (10, 20, 4, (8, 8), 5),
    (2**14, 1, 3, (2, 2), 1),
    (1, 2, 1, (2, 2**14), 1),
    (1, 3, 2, (128, 128), 2),
    (16, 40, 5, (16, 16), 3),
    (2, 70, 1, (40, 40), 1),
]


def images(kind, n, channels, size, kernel, dtype):
    return terms(kind, (n, channels, *(m + kernel - 1 for m in size)), dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_filters_of_many_positions(target, dtype, kind):
    for n, channels, filters, size, kernel in POSITIONS:
        x = images(kind, n, channels, size, kernel, dtype)
        g = terms(kind, (n, filters, *size), dtype, 1)
        spec = ArraySpec(dtype, (filters, channels, kernel, kernel))
        [dw] = run_kernel("conv2d_grad_filter", [x, g], [spec], geometry(dtype), target)
        products = wide(g)[:, -1] * wide(x)[:, -1, : size[0], : size[1]]
        assert_accurate(dw[-1, -1, 0, 0], products, (0, 1, 2))


@pytest.mark.parametrize("winners", [1, 15])  # the first position of each window, and all
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_filters_of_many_windows(target, dtype, kind, winners):
    params = {**geometry(dtype), "pool": (2, 2)}
    for n, channels, filters, size, kernel in POSITIONS:
        x = images(kind, n, channels, size, kernel, dtype)
        g = terms(kind, (n, filters, size[0] // 2, size[1] // 2), dtype, 1)
        marks = np.full((*g.shape, 1), winners, np.uint8)
        spec = ArraySpec(dtype, (filters, channels, kernel, kernel))
        [dw] = run_kernel("conv2d_pool_grad_filter", [x, g, marks], [spec], params, target)
        gradient = wide(g)[:, -1].repeat(2, 1).repeat(2, 2)
        products = gradient * wide(x)[:, -1, : size[0], : size[1]]
        if winners == 1:
            products = products[:, ::2, ::2]
        assert_accurate(dw[-1, -1, 0, 0], products, (0, 1, 2))


# (channels of what is summed over, size of the filters, the others)
TAPS = [(20, 5, 40), (300, 3, 9), (2**14, 1, 3), (2**12, 4, 1), (2, 40, 2)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_filters_of_many_taps(target, dtype, kind):
    for channels, kernel, filters in TAPS:
        x = terms(kind, (1, channels, kernel, kernel), dtype)
        w = terms(kind, (filters, channels, kernel, kernel), dtype, 1)
        spec = ArraySpec(dtype, (1, filters, 1, 1))
        [y] = run_kernel("conv2d", [x, w], [spec], geometry(dtype), target)
        assert_accurate(y[0, :, 0, 0], wide(x) * wide(w), (1, 2, 3))

        g, w = x, w.transpose(1, 0, 2, 3)
        size = 2 * kernel - 1
        spec = ArraySpec(dtype, (1, filters, size, size))
        [dx] = run_kernel("conv2d_grad_input", [w, g], [spec], geometry(dtype), target)
        products = (wide(g)[0, :, None, ::-1, ::-1] * wide(w)).swapaxes(0, 1)
        assert_accurate(dx[0, :, kernel - 1, kernel - 1], products, (1, 2, 3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_pixels_behind_many_windows(target, dtype, kind):
    params = {**geometry(dtype), "pool": (2, 2)}
    for filters, kernel, channels in [(20, 6, 40), (300, 4, 9), (2**13, 2, 3), (2, 40, 2)]:
        w = terms(kind, (filters, channels, kernel, kernel), dtype)
        g = terms(kind, (1, filters, kernel // 2, kernel // 2), dtype, 1)
        marks = np.full((*g.shape, 1), 15, np.uint8)
        size = 2 * kernel - 1
        spec = ArraySpec(dtype, (1, channels, size, size))
        [dx] = run_kernel("conv2d_pool_grad_input", [w, g, marks], [spec], params, target)
        gradient = wide(g)[0].repeat(2, 1).repeat(2, 2)
        products = (gradient[:, None, ::-1, ::-1] * wide(w)).swapaxes(0, 1)
        assert_accurate(dx[0, :, kernel - 1, kernel - 1], products, (1, 2, 3))


@pytest.mark.parametrize("target", TARGETS)
def test_threads_and_layouts_do_not_change_a_bit(target):
    rng = np.random.default_rng(3)
    for n, channels, filters, size, kernel in POSITIONS[3:]:
        x = images("random", n, channels, size, kernel, "float32")
        g = terms("random", (n, filters, *size), "float32", 1)
        spec = ArraySpec("float32", (filters, channels, kernel, kernel))
        params = geometry("float32")
        [dw] = run_kernel("conv2d_grad_filter", [x, g], [spec], params, target, 1)
        operands = [relaid(x, rng), relaid(g, rng)]
        [other] = run_kernel("conv2d_grad_filter", operands, [spec], params, target, 4)
        np.testing.assert_array_equal(other, dw)
