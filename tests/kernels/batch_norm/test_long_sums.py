from __future__ import annotations

import numpy as np
import pytest
from helpers.long_sums import DTYPES, KINDS, assert_accurate, terms, wide
from helpers.native import TARGETS, run_kernel

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape

SHAPES = [(2**17, 3, 1), (2**9, 1, 2**11), (1, 2, 2**16), (2**12, 2, 20)]  # (A, C, B)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_statistics_and_gradients_of_many_values(target, dtype, kind):
    for shape in SHAPES:
        x, g = terms(kind, shape, dtype), terms(kind, shape, dtype, 1)
        channels = ArraySpec(dtype, shape[1:2])
        one, zero = np.ones(shape[1], dtype), np.zeros(shape[1], dtype)
        inputs = [x, one, zero, np.array(1e-4, dtype)]
        outputs = [ArraySpec(dtype, shape), channels, channels, channels]
        params = {"epilogue": Tape.identity(dtype)}
        _, mean, _, variance = run_kernel("batch_norm", inputs, outputs, params, target)
        n = x.size // shape[1]
        assert_accurate(mean, wide(x) / n, (0, 2))
        if kind != "constant":
            centred = wide(x) - wide(x).mean((0, 2), keepdims=True)
            assert_accurate(variance, centred**2 / n, (0, 2))

        centre = np.full(shape[1], 0.25, dtype)
        outputs = [ArraySpec(dtype, shape), channels, channels]
        _, dgamma, dbeta = run_kernel(
            "batch_norm_grad", [x, g, one, centre, one], outputs, {}, target
        )
        assert_accurate(dgamma, wide(g) * (wide(x) - 0.25), (0, 2))
        assert_accurate(dbeta, wide(g), (0, 2))
