from __future__ import annotations

import numpy as np
import pytest
from helpers.long_sums import DTYPES, KINDS, assert_accurate, terms, wide
from helpers.native import TARGETS, run_kernel

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape

# Shapes and the reduced axes: all, the dense one, another, and not the middle one.
SUMS = [
    ((2**20,), (0,)),
    ((3, 2**17), (1,)),
    ((2**17, 3), (0,)),
    ((2**9, 3, 2**8), (0, 2)),
    ((64, 20, 24, 24), (0, 2, 3)),
    ((40_000, 20), (0,)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_sums_over_any_axes(target, dtype, kind):
    tape = Tape.identity(dtype)
    for shape, axes in SUMS:
        x = terms(kind, shape, dtype)
        spec = ArraySpec(dtype, tuple(1 if d in axes else n for d, n in enumerate(shape)))
        mask = sum(1 << d for d in axes)
        one = {"op": 0, "axes_mask": mask, "n_prologue": 1, "prologue": tape, "epilogue": tape}
        [alone] = run_kernel("reduce", [x], [spec], one, target)
        assert_accurate(alone, wide(x), axes)
        group = {"n_inputs": (1, 1), **{key: (value, value) for key, value in one.items()}}
        both = run_kernel("grouped_reduce", [x, x], [spec, spec], group, target)
        np.testing.assert_array_equal(both, [alone, alone])
