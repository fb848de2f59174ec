"""The tests of this folder, run in the modes that a machine without a GPU has."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.gpu import MODE

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(MODE is not None, reason="this process is one of the modes")


def run_mode(mode: str, simulator: str) -> str:
    """Runs the folder's tests in a process of their own; returns the last lines of its report."""
    environment = {
        **os.environ,
        "TINYGRAD_MNIST_GPU_TESTS": mode,
        "NUMBA_ENABLE_CUDASIM": simulator,
        "TINYGRAD_MNIST_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE)]
    done = subprocess.run(
        command, env=environment, cwd=HERE.parents[1], capture_output=True, text=True
    )
    report = done.stdout[-6000:] + done.stderr[-2000:]
    assert done.returncode == 0, f"the tests in mode {mode} fail:\n{report}"
    return done.stdout


def has(*modules: str) -> bool:
    try:
        return all(importlib.util.find_spec(module) for module in modules)
    except ModuleNotFoundError:
        return False


@pytest.mark.skipif(not has("numba_cuda"), reason="no numba-cuda: pip install -e '.[test]'")
def test_simulator() -> None:
    assert int(re.search(r"(\d+) passed", run_mode("sim", "1"))[1]) > 50


@pytest.mark.skipif(
    not has("numba_cuda", "cuda.core", "nvidia.cu13"),
    reason="no CUDA compiler: pip install -e '.[cuda-test]'",
)
def test_machine_code() -> None:
    assert int(re.search(r"(\d+) passed", run_mode("compile", "0"))[1]) > 50
