"""The output of the script that runs compute-sanitizer, without a GPU."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers.gpu import MODE

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import DeviceError

pytestmark = pytest.mark.skipif(MODE is not None, reason="no test of kernels")
SCRIPT = Path(__file__).with_name("sanitize.py")

CLEAN = "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n"
WRONG = "========= Invalid __global__ read of size 4 bytes\n========= ERROR SUMMARY: 3 errors\n"
RACES = "========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)\n"
NO_RACES = "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n"


@pytest.fixture(scope="module")
def sanitize() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sanitize", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("log", "status", "clean", "says"),
    [
        (CLEAN, 0, True, "nothing found, exit status 0; 5 passed"),
        (NO_RACES, 0, True, "nothing found"),
        (WRONG, 86, False, "3 found, exit status 86"),
        (RACES, 86, False, "2 found"),
        (CLEAN, 1, False, "nothing found, exit status 1"),  # a test failed
        ("", 139, False, "no summary, exit status 139"),  # it crashed
    ],
)
def test_what_a_tool_found(
    sanitize: ModuleType, log: str, status: int, clean: bool, says: str
) -> None:
    is_clean, line = sanitize.report(log, status, "5 passed")
    assert is_clean is clean
    assert line.startswith(says)


def test_the_tool_is_found_in_the_toolkit(
    sanitize: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "extras" / "compute-sanitizer" / "compute-sanitizer"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert sanitize.find_tool() == str(tool)


def test_without_a_gpu_one_sentence_says_so() -> None:
    before = config.device
    try:
        config.device = "cuda"
    except DeviceError:
        run = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert run.stderr.startswith("sanitize: ")
        assert run.stderr.count("\n") == 1
    else:
        config.device = before
        pytest.skip("there is a GPU")
