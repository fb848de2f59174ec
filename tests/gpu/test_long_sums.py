"""Long sums of the CUDA kernels: their values, and the runs of the cuts that are chosen."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.gpu import BACKEND
from helpers.long_sums import assert_accurate, terms, wide

from tinygrad_mnist.backends.cuda.simulator import enable_simulator
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.contracts.pool2d.average_pool2d import SUM

IDENTITY = {"epilogue": Tape.identity("float32")}


def run(kernel, inputs, shape, params):
    [result] = OneCall(kernel, inputs, [ArraySpec("float32", shape)], params).run(BACKEND)
    return result


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["constant", "random"])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 6000), (3, 1, 3000), (1, 5, 2000)])
def test_products(m, n, k, kind):
    a, b = terms(kind, (m, k), "float32"), terms(kind, (k, n), "float32", 1)
    result = run("gemm", [a, b], (m, n), IDENTITY)
    assert_accurate(result, wide(a)[:, :, None] * wide(b)[None], 1)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("window", [(1, 1500), (40, 41)])
def test_pools(window):
    geometry = {"window": window, "stride": (1, 1), "padding": (0, 0)}
    x = terms("constant", (1, 1, *window), "float32")
    winners = np.full((1, 1, 1, 1, -(-x.size // 8)), 255, np.uint8)
    sums = run("average_pool2d", [x], (1, 1, 1, 1), {**geometry, "count": SUM})
    assert_accurate(sums, wide(x), (2, 3))
    sums = run("pool2d_gather", [x, winners], (1, 1, 1, 1), geometry)
    assert_accurate(sums, wide(x), (2, 3))


@pytest.mark.sim
@pytest.mark.gpu
def test_gradients_of_a_pixel_in_many_windows():
    size, pixels = 1100, 3
    geometry = {"window": (1, size), "stride": (1, 1), "padding": (0, size - 1)}
    g = terms("constant", (1, 1, 1, size + pixels - 1), "float32")
    dx = run("average_pool2d_grad", [g], (1, 1, 1, pixels), {**geometry, "count": SUM})
    for k in range(pixels):
        assert_accurate(dx[..., k], wide(g)[..., k : k + size], (2, 3))


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["constant", "random"])
def test_filters_of_many_positions(kind):
    x, g = terms(kind, (3, 1, 40, 40), "float32"), terms(kind, (3, 1, 40, 40), "float32", 1)
    params = {"stride": (1, 1), "padding": (0, 0), "flip": 0, **IDENTITY}
    dw = run("conv2d_grad_filter", [x, g], (1, 1, 1, 1), params)
    assert_accurate(dw, wide(x) * wide(g), (0, 2, 3))


@pytest.mark.sim
def test_no_part_of_a_product_is_longer_than_a_run():
    enable_simulator()
    from tinygrad_mnist.kernels.core.sums import longest_run
    from tinygrad_mnist.kernels.gemm.choice import best
    from tinygrad_mnist.kernels.gemm.operands import Problem
    from tinygrad_mnist.kernels.gemm.split import Split

    for m, n in ((1, 1), (1, 300), (10, 100), (500, 20), (2000, 2000)):
        for k in (10, 784, 2880, 2**14, 2**18, 2**22):
            shape = Problem(m, n, k, "float32")
            cut = best(shape)
            run = -(-k // (4 * cut.slices)) * 4 if isinstance(cut, Split) else cut.cut.terms(shape)
            assert run <= longest_run(k) + 8
