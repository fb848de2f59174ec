"""The modes of the GPU tests that need no GPU, as processes.

The session starts them, and test_modes.py waits for them, perhaps in another process: pytest-xdist
divides a session among workers. So what they report, and their exit codes, are files of a folder
that an environment variable names.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]

# Mode: modules that it needs, the extra that has them, and how many processes divide its tests.
MODES_HERE = {
    "sim": (("numba_cuda",), "test", 1),
    "compile": (("numba_cuda", "cuda.core", "nvidia.cu13"), "cuda-test", 2),
    "ptx": (("numba_cuda", "cuda.core", "nvidia.cu13"), "cuda-test", 2),
}
_NICE = 5  # so that other tests are not slowed down
_REPORTS = "TINYGRAD_MNIST_GPU_REPORTS"  # the folder, for the session's other processes


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


def start_modes(modes: Iterable[str]) -> None:
    """Starts the tests of some modes, as far as they can run here."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    os.environ[_REPORTS] = folder.name
    for mode in modes:
        if missing(mode) is None:
            for share in range(MODES_HERE[mode][2]):
                _start(mode, share, Path(folder.name))


def environment_of(mode: str) -> dict[str, str]:
    """The environment of a process in a mode."""
    return {
        **os.environ,
        "TINYGRAD_MNIST_GPU_TESTS": mode,
        "NUMBA_ENABLE_CUDASIM": str(int(mode == "sim")),
        "TINYGRAD_MNIST_DEVICE": "cpu",
    }


def _start(mode: str, share: int, folder: Path) -> None:
    cache = tempfile.TemporaryDirectory()  # new, so that everything is compiled; not the user's
    atexit.register(cache.cleanup)
    environment = {
        **environment_of(mode),
        "TINYGRAD_MNIST_CUDA_CACHE": cache.name,
        "TINYGRAD_MNIST_GPU_SHARE": f"{share}/{MODES_HERE[mode][2]}",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / "gpu")]
    if mode == "ptx":
        command += ["-m", "not slow"]  # of the cases, what three minutes suffice for
    report, code = _files(folder, mode, share)
    with report.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=TESTS.parent,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=(lambda: os.nice(_NICE)) if hasattr(os, "nice") else None,
            start_new_session=True,  # so that Ctrl-C doesn't reach it
        )
    atexit.register(_stop, process)

    def record() -> None:
        value = process.wait()
        with contextlib.suppress(FileNotFoundError):  # the session has ended
            code.with_suffix(".part").write_text(str(value))
            code.with_suffix(".part").rename(code)

    threading.Thread(target=record, daemon=True).start()


def _files(folder: Path, mode: str, share: int) -> tuple[Path, Path]:
    """A process's report, and its exit code, which is there when it has ended."""
    return folder / f"{mode}-{share}.txt", folder / f"{mode}-{share}.code"


def finish_mode(mode: str) -> list[tuple[int, str]]:
    """Waits for the tests of a mode; returns exit code and report of each of its processes."""
    if _REPORTS not in os.environ:  # the session has not started them
        start_modes(MODES_HERE)
    done = []
    for share in range(MODES_HERE[mode][2]):
        report, code = _files(Path(os.environ[_REPORTS]), mode, share)
        while not code.exists():
            if not report.exists():
                raise RuntimeError(
                    f"{report} is gone: the process that began the session has ended"
                )
            time.sleep(0.1)
        done.append((int(code.read_text()), report.read_text(errors="replace")))
    return done


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
