"""The modes of the GPU tests that need no GPU, as processes."""

from __future__ import annotations

import atexit
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

TESTS = Path(__file__).resolve().parents[1]

# Mode: modules that it needs, the extra that has them, and how many processes divide its tests.
MODES_HERE = {
    "sim": (("numba_cuda",), "test", 1),
    "compile": (("numba_cuda", "cuda.core", "nvidia.cu13"), "cuda-test", 2),
    "ptx": (("numba_cuda", "cuda.core", "nvidia.cu13"), "cuda-test", 2),
}
_NICE = 5  # so that other tests are not slowed down
_running: dict[str, list[tuple[subprocess.Popen[bytes], IO[bytes]]]] = {}


def missing(mode: str) -> str | None:
    """Why a mode can't run here, or None."""
    modules, extra, _ = MODES_HERE[mode]
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"no {module}: pip install -e '.[{extra}]'"
    return None


def start_mode(mode: str) -> None:
    """Starts the tests of a mode, if they can run here and have not been started."""
    if mode in _running or missing(mode) is not None:
        return
    shares = MODES_HERE[mode][2]
    _running[mode] = [_start(mode, f"{share}/{shares}") for share in range(shares)]


def _start(mode: str, share: str) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    cache = tempfile.TemporaryDirectory()  # new, so that everything is compiled; not the user's
    atexit.register(cache.cleanup)
    environment = {
        **os.environ,
        "TINYGRAD_MNIST_CUDA_CACHE": cache.name,
        "TINYGRAD_MNIST_GPU_TESTS": mode,
        "TINYGRAD_MNIST_GPU_SHARE": share,
        "NUMBA_ENABLE_CUDASIM": str(int(mode == "sim")),
        "TINYGRAD_MNIST_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / "gpu")]
    if mode == "ptx":
        command += ["-m", "not slow"]  # of the cases, what three minutes suffice for
    report = tempfile.TemporaryFile()  # noqa: SIM115 (read when the process has ended)
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=TESTS.parent,
        stdout=report,
        stderr=subprocess.STDOUT,
        preexec_fn=(lambda: os.nice(_NICE)) if hasattr(os, "nice") else None,
        start_new_session=True,  # so that Ctrl-C doesn't reach it
    )
    atexit.register(_stop, process)
    return process, report


def finish_mode(mode: str) -> list[tuple[int, str]]:
    """Waits for the tests of a mode; returns exit code and report of each of its processes."""
    start_mode(mode)
    done = []
    for process, report in _running[mode]:
        code = process.wait()
        report.seek(0)
        done.append((code, report.read().decode(errors="replace")))
    return done


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
