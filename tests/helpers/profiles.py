"""A small profile with chosen times."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.graphs import ALL_KERNELS

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends.base import Timings
from tinygrad_mnist.compile.pipeline import compile_plan
from tinygrad_mnist.profiling import Profile, Roofline

# 1 GFLOP/s, and 1 GB/s up to 1 kB, a tenth of it beyond.
ROOFLINE = Roofline("test", 1, {"float64": 1e9, "float32": 2e9}, ((1000, 1e9), (10_000, 1e8)))


def small_profile(roofline: Roofline | None = ROOFLINE, dtype: str = "float64") -> Profile:
    """dot(x, y) and two sums over three steps: gemm 2 us, reduce 4 us, reduce 1 us."""
    x, y = T.matrix("x", dtype), T.matrix("y", dtype)
    product = T.dot(x, y)
    outputs = [product, T.sum(product, axis=0), T.sum(product, axis=1)]
    shapes: dict[Any, tuple[int, ...]] = {x: (10, 10), y: (10, 10)}
    kernels = ALL_KERNELS - {"grouped_reduce"}
    plan = compile_plan(outputs, {}, shapes, {}, "fused", kernels, True).plan
    assert [call.kernel for call in plan.calls] == ["gemm", "reduce", "reduce"]
    calls = np.array([[2.0, 4, 1], [1, 4, 1], [9, 9, 9]]) * 1e-6
    begins = np.array([100.0, 100.00001, 100.00002])
    ends = begins + calls.sum(axis=1) + 1e-7
    ends[2] += 1e-6
    timings = Timings(begins, calls, ends)
    return Profile("small", plan, timings, 8e-6, "fused", "test", 1, roofline)
