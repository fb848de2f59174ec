"""Kernels compiled ahead: on a machine without a GPU, and for several functions at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.compile

TRAIN = """
import numpy as np
from tinygrad_mnist import network3 as n3
import tinygrad_mnist as theano, tinygrad_mnist.tensor as T

def data(n):
    x = theano.shared(np.zeros((n, 6), "float32"))
    return x, T.cast(theano.shared(np.zeros(n, "float32")), "int32")

net = n3.Network([n3.FullyConnectedLayer(6, 5), n3.SoftmaxLayer(5, 3)], 4, seed=1)
history = net.SGD(data(80), 2, 4, 0.1, data(12), data(8), lmbda=0.1)
print(len(history.costs), history.epochs)
"""


def compile_ahead(folder: Path, *program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinygrad_mnist", "compile", "--capability", "9.0"]
    environment = {
        **os.environ,
        "DEBUG": "1",
        "NUMBA_ENABLE_CUDASIM": "0",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    return subprocess.run(
        [*command, "--folder", str(folder), *program],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_training_compiles_all_its_kernels_at_once(tmp_path: Path) -> None:
    """Those of the training step, of validation and of the test; a second run compiles nothing."""
    done = compile_ahead(tmp_path, sys.executable, "-c", TRAIN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "40 2"
    batches = re.findall(r"cuda: compiled (\d+) designs? in", done.stderr)
    assert len(batches) == 1, done.stderr
    entries = list((tmp_path / "code").iterdir())
    assert len(entries) == int(batches[0])
    assert sum(entry.name.startswith("advance-") for entry in entries) == 1
    assert f"has the machine code of {len(entries)} designs" in done.stderr
    again = compile_ahead(tmp_path, sys.executable, "-c", TRAIN)
    assert again.stdout == done.stdout
    assert "cuda: compiled" not in again.stderr


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ([], "name the program whose kernels are compiled"),
        (["no-such-program"], "there is no program 'no-such-program'"),
    ],
)
def test_wrong_programs_are_refused(tmp_path: Path, program: list[str], message: str) -> None:
    done = compile_ahead(tmp_path, *program)
    assert done.returncode == 1
    assert done.stderr.startswith(f"tinygrad-mnist: {message}")


def test_the_programs_exit_code_is_passed_on(tmp_path: Path) -> None:
    assert compile_ahead(tmp_path, sys.executable, "-c", "raise SystemExit(7)").returncode == 7
