"""`python -m tinygrad_mnist.theano`: programs run as Python runs them, with `theano` to import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PYTHON = [sys.executable]
THEANO = [sys.executable, "-m", "tinygrad_mnist.theano"]
Done = subprocess.CompletedProcess[str]


def run(command: list[str], folder: Path, **environment: str) -> Done:
    kept = {k: v for k, v in os.environ.items() if k not in ("THEANO_FLAGS", "PYTHONPATH")}
    return subprocess.run(
        command,
        cwd=folder,
        env={**kept, "THEANORC": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


SHOW = """
import sys, pickle
class Thing: pass
print(__name__, __file__, sys.argv, sys.path[0], __spec__, sys.modules["__main__"].Thing is Thing)
print(type(pickle.loads(pickle.dumps(Thing()))) is Thing, type(__loader__).__name__, __builtins__)
import beside
print(beside.__file__)
"""
ERROR = """
def inner():
    return {}["k\N{LATIN SMALL LETTER E WITH ACUTE}y"]
def outer():
    try:
        inner()
    except KeyError as error:
        raise ValueError("no") from error
outer()
"""
SCRIPTS = {
    "show": SHOW,
    "error": ERROR,
    "syntax": "x = (1 +\n",
    "status": "import sys, atexit; atexit.register(print, 'end'); print(1); sys.exit(7)",
    "message": "raise SystemExit('stopped')",
    "interrupt": "raise KeyboardInterrupt",
    "imports": "import broken",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_as_python_runs_it(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / f"{name}.py").write_text(SCRIPTS[name], encoding="utf-8")
    (folder / "beside.py").write_text("")
    (folder / "broken.py").write_text("def f():\n    return 1 / 0\nf()\n")
    arguments = [f"programs/{name}.py", "-v", "--device", "2"]
    plain, ours = (run([*start, *arguments], tmp_path) for start in (PYTHON, THEANO))
    assert (ours.stdout, ours.stderr, ours.returncode) == (
        plain.stdout,
        plain.stderr,
        plain.returncode,
    )


def test_modules_and_texts(tmp_path: Path) -> None:
    (tmp_path / "mod.py").write_text("import sys; print(__name__, sys.argv, sys.path[0], __file__)")
    for arguments in (["-m", "mod", "1"], ["-c", "import sys; print(sys.argv, sys.path[:1])", "1"]):
        plain, ours = (run([*start, *arguments], tmp_path) for start in (PYTHON, THEANO))
        assert (ours.stdout, ours.returncode) == (plain.stdout, 0)
        assert ours.stderr == ""


def test_what_can_not_be_run(tmp_path: Path) -> None:
    absent = run([*THEANO, "absent.py"], tmp_path)
    assert absent.returncode == 2
    assert "can't open file" in absent.stderr
    usage = run(THEANO, tmp_path)
    assert (usage.returncode, usage.stdout[:6]) == (2, "usage:")


PROGRAM = """
import numpy, theano, theano.tensor as T
from network3 import Network, FullyConnectedLayer, SoftmaxLayer
import mnist_loader
x = T.matrix()
print(theano.config.floatX, theano.config.warn.round, theano.function([x], x * 0.1)([[1]]).dtype)
print(mnist_loader.vectorized_result(1).shape, Network.__module__)
T.MPIRecv
"""


def test_a_program_for_theano(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    flags = "floatX=float32,warn.round=True"
    done = run([*THEANO, "program.py"], tmp_path, THEANO_FLAGS=flags)
    assert done.stdout.splitlines() == [
        "float32 True float32",
        "(10, 1) tinygrad_mnist.network3.network",
    ]
    lines = done.stderr.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/program.py", line 8, in <module>',
        "    T.MPIRecv",
    ]
    assert lines[3].startswith("AttributeError: theano.tensor has no 'MPIRecv' here: graphs read")
    assert done.returncode == 1


OWN_FLAGS = """
import os
os.environ["THEANO_FLAGS"] = "floatX=float32,device=reference"
import {module}
import theano
print(theano.config.floatX, theano.config.device)
"""


@pytest.mark.parametrize("module", ["theano.tensor", "network3", "tinygrad_mnist.theano"])
def test_a_program_that_sets_flags_itself(module: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(OWN_FLAGS.format(module=module))
    done = run([*THEANO, "program.py"], tmp_path, THEANO_FLAGS="floatX=float64")
    assert (done.stdout, done.stderr) == ("float32 reference\n", "")


def test_wrong_settings_are_one_sentence(tmp_path: Path) -> None:
    done = run([*THEANO, "-c", "import theano; print(1)"], tmp_path, THEANO_FLAGS="floatX=float16")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line == "THEANO_FLAGS: floatX is 'float16'; here it can be 'float32' or 'float64'"


def test_python_2_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("x = 1\nprint 'Training mini-batch number', x\n")
    (tmp_path / "imports_old.py").write_text("import old\n")
    for name in ("old", "imports_old"):
        done = run([*THEANO, f"{name}.py"], tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{tmp_path}/old.py, line 2, is Python 2; `2to3 -w {tmp_path}/old")
