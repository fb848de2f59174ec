"""What the cases' kernels compute in one mode, as files, so that modes can be compared directly.

A program: `python -m helpers.agreement FOLDER SHARE OF`, in the folder tests and the mode of
TINYGRAD_MNIST_GPU_TESTS.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from helpers.gpu import BACKEND
from helpers.gpu_cases import CASES, Case
from helpers.gpu_modes import TESTS, environment_of
from helpers.native import AnyArray, assert_near, expect

from tinygrad_mnist import config
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec

MODES = ("sim", "ptx")


def cases(share: int, of: int) -> list[Case]:
    """Those that the simulator can run, too: every `of`-th one."""
    return [case for case in CASES if "sim" in case.modes][share::of]


def start(mode: str, folder: Path, share: int = 0, of: int = 1) -> subprocess.Popen[bytes]:
    """A process that writes a mode's results of every `of`-th case to `folder`/`mode`."""
    command = [sys.executable, "-m", "helpers.agreement", str(folder / mode), str(share), str(of)]
    return subprocess.Popen(command, env=environment_of(mode), cwd=TESTS)


def write_results(folder: Path, share: int, of: int) -> None:
    """A file per case; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases(share, of):
        file = folder / f"{case}.npz"
        if not file.exists():
            config.allow_tf32 = case.tf32
            results = OneCall(case.kernel, *case.problem()).run(BACKEND)
            np.savez(file.with_suffix(".part.npz"), *results)
            file.with_suffix(".part.npz").rename(file)


def read_results(folder: Path, case: Case) -> list[AnyArray]:
    """The outputs of a case."""
    with np.load(folder / f"{case}.npz") as arrays:
        return list(arrays.values())


def disagreements(folder: Path, share: int = 0, of: int = 1) -> list[str]:
    """The cases in which two of three differ: NumPy in float64 and both modes. Each pair is
    compared: integers bit for bit, floats within the case's tolerance, NaN and infinities in the
    same places."""
    found = []
    for case in cases(share, of):
        inputs, outputs, params = case.problem()
        specs = [ArraySpec(str(o.dtype), o.shape) for o in outputs]
        results = {
            "NumPy": expect(case.kernel, inputs, specs, params),
            **{mode: read_results(folder / mode, case) for mode in MODES},
        }
        for one, other in combinations(results, 2):
            try:
                for result, wanted in zip(results[other], results[one], strict=True):
                    if case.tolerance == 0:
                        np.testing.assert_array_equal(result, wanted)
                    else:
                        assert_near(result, _wide(wanted), case.tolerance)
            except AssertionError as error:
                found.append(f"{case}: {other}, {one}: {error}")
    return found


def _wide(array: AnyArray) -> AnyArray:
    """Floats in float64, as `assert_near` expects them."""
    return array.astype(np.float64) if array.dtype.kind == "f" else array


if __name__ == "__main__":
    write_results(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
