from __future__ import annotations

import numpy as np
import pytest
from helpers.layouts import relaid
from helpers.long_sums import DTYPES, KINDS, assert_accurate, terms, wide
from helpers.native import TARGETS, run_kernel

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape

# (m, n): vectors; a vector and a matrix, both ways; b in place, and packed; a in several tiles.
SHAPES = [(1, 1), (5, 1), (1, 5), (1, 24), (7, 19), (60, 24), (70, 3)]
LENGTHS = [1, 255, 256, 257, 511, 600, 1023, 1024, 1300, 5000, 2**16 + 1, 2**20]
PRODUCTS = [(m, n, k) for m, n in SHAPES for k in LENGTHS if m * n * k <= 2**20]


def check(a, b, target):
    spec = ArraySpec(a.dtype.name, (len(a), b.shape[1]))
    params = {"epilogue": Tape.identity(spec.dtype)}
    [result] = run_kernel("gemm", [a, b], [spec], params, target)
    assert_accurate(result, wide(a)[:, :, None] * wide(b)[None], 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_products_of_any_length(target, dtype, kind):
    for m, n, k in PRODUCTS:
        check(terms(kind, (m, k), dtype), terms(kind, (k, n), dtype, 1), target)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_any_strides(target, dtype):
    rng = np.random.default_rng(2)
    for m, n in SHAPES:
        a, b = terms("constant", (m, 1300), dtype), terms("constant", (1300, n), dtype)
        for left in (a, np.asfortranarray(a), relaid(a, rng)):
            for right in (b, np.asfortranarray(b), relaid(b, rng)):
                check(left, right, target)


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 0.7, 0.9, 0.011])
@pytest.mark.parametrize("target", TARGETS)
def test_the_error_stops_growing(target, constant):
    params, spec = {"epilogue": Tape.identity("float32")}, ArraySpec("float32", (1, 1))
    for k in (2**16, 2**18, 2**20, 2**22):
        a = np.full((1, k), constant, np.float32)
        [result] = run_kernel("gemm", [a, a.T], [spec], params, target)
        exact = k * np.float64(a[0, 0]) ** 2
        assert abs(result[0, 0] - exact) <= (256 + 65) / 2 * np.finfo(np.float32).eps * exact
