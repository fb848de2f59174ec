"""Tests of the CUDA kernels run in one of three modes, each in a process of its own.

Numba's simulator takes the place of its compiler for a whole process. Without
TINYGRAD_MNIST_GPU_TESTS, `test_modes.py` starts a process for `sim` and one for `compile`, and what
is marked with a mode is left to them; a machine with a GPU runs TINYGRAD_MNIST_GPU_TESTS=gpu.
"""

from __future__ import annotations

import os

import pytest
from helpers.gpu import MODE

if MODE == "sim":
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # before anything imports Numba

MODES = ("sim", "compile", "gpu")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    keep, drop = [], []
    for item in items:
        wanted = {mark.name for mark in item.iter_markers()} & set(MODES)
        (keep if not wanted or MODE in wanted else drop).append(item)
    items[:] = keep
    config.hook.pytest_deselected(items=drop)
