"""What `config.debug` prints, level by level."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.profiling.watch import duration

PROGRAM = """
import numpy as np
import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T
x, i, w = T.fmatrix("x"), T.lscalar("i"), theano.shared(np.ones((3, 4), "float32"), "w")
layer = T.tanh(T.dot(x[i * 2:(i + 1) * 2], w) + 0 - 1)
step = theano.function([x, i], layer, updates=[(w, w * 0.5)], name="step")
for k in range(2):
    step(np.ones((6, 3), "float32"), k)
print("done")
"""
SUMMARY = "plan of step: "
RUN = "run of step: "
TOTAL = "in all, 2 runs of step in "
REWRITES = "rewrites of simplify: "
PLAN = "plan for cpu: "
CODE = "code of "


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if "DEBUG" not in k}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**kept, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("level", "printed"),
    [
        ("0", []),
        ("1", [SUMMARY]),
        ("2", [SUMMARY, RUN, TOTAL]),
        ("3", [SUMMARY, RUN, TOTAL, REWRITES]),
        ("4", [SUMMARY, RUN, TOTAL, REWRITES, PLAN]),
        ("5", [SUMMARY, RUN, TOTAL, REWRITES, PLAN, CODE]),
    ],
)
def test_each_level_prints_more(level: str, printed: list[str], tmp_path: Path) -> None:
    done = run(tmp_path, DEBUG=level)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    lines = done.stderr.splitlines()
    every = [SUMMARY, RUN, TOTAL, REWRITES, PLAN, CODE]
    assert [start for start in every if any(line.startswith(start) for line in lines)] == printed
    assert bool(lines) == bool(printed)
    assert sum(line.startswith(SUMMARY) for line in lines) == (level != "0")  # one plan is made
    assert sum(line.startswith(RUN) for line in lines) == (2 if level >= "2" else 0)


def test_the_lines(tmp_path: Path) -> None:
    lines = run(tmp_path, TINYGRAD_MNIST_DEBUG="5", DEBUG="*").stderr.splitlines()
    summary = next(line for line in lines if line.startswith(SUMMARY))
    assert summary.startswith("plan of step: 2 calls, 76 FLOP, ")
    for stage in ("specialise", "simplify", "fuse_epilogues", "schedule", "arrange", "program"):
        assert f" {stage} " in summary
    assert any("neutral_element 1" in line for line in lines if line.startswith(REWRITES))
    assert "    def host(s0):" in lines
    assert "    def epilogue(i0):  # float32" in lines
    assert "        v2 = i0 - 1.0" in lines
    total = next(line for line in lines if line.startswith(TOTAL))
    assert "gemm " in total
    assert total.endswith("%")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"DEBUG": "7"}, "DEBUG is '7'; it can be from 0 to 5"),
        ({"DEBUG": "9"}, "meant for another program, set TINYGRAD_MNIST_DEBUG=0"),
        ({"DEBUG": "-1"}, "DEBUG is '-1'"),
        ({"TINYGRAD_MNIST_DEBUG": "yes", "DEBUG": "1"}, "TINYGRAD_MNIST_DEBUG is 'yes'"),
    ],
)
def test_wrong_levels(environment: dict[str, str], message: str, tmp_path: Path) -> None:
    done = run(tmp_path, **environment)
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]


def test_a_level_that_is_empty_is_none(tmp_path: Path) -> None:
    assert run(tmp_path, DEBUG="").stderr == ""


@pytest.mark.parametrize("value", ["true", "*", "app:*", "False", "1.5", "release"])
def test_debug_of_another_program_is_ignored(tmp_path: Path, value: str) -> None:
    done = run(tmp_path, DEBUG=value)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("wrong", [6, -1, "2", True, None, 1.0])
def test_config_checks_the_level(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"debug is .*; it can be from 0 to 5"):
        theano.config.debug = wrong  # type: ignore[assignment]


def test_the_level_may_change_while_a_program_runs(
    device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    i = T.lscalar("i")
    data = theano.shared(np.ones((6, 3)), "data")
    function = theano.function([i], T.exp(data[i]), name="f")
    function(0)
    assert capsys.readouterr().err == ""
    theano.config.debug = 2
    function(1)
    function.sweep(range(6))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("run of f: 1 call in ")
    assert first.endswith(": elementwise 100%")
    assert second.startswith("6 runs of f: 1 call in ")
    assert " each, " in second
    theano.config.debug = 0
    function(2)
    assert capsys.readouterr() == ("", "")


def test_code_of_every_kernel_that_has_tapes(capsys: pytest.CaptureFixture[str]) -> None:
    """Also of those that have several tapes of one kind."""
    theano.config.debug = 5
    x = T.dmatrix("x")
    sums = [T.sum(T.exp(x), axis=0), T.sum(x * x, axis=0), T.dot(x, x.T) * 2]
    function = theano.function([x], sums, name="sums")
    function(np.ones((3, 4)))
    lines = capsys.readouterr().err.splitlines()
    headings = [line for line in lines if line.startswith("code of call ")]
    assert len(headings) == len(function.plan.calls)
    after = lines[lines.index("code of the host, before each call:") :]
    code = [line.removeprefix("    ") for line in after if line.startswith("    ")]
    tree = ast.parse("\n".join(code))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    tapes = [tape for call in function.plan.calls for tape in call.tapes if not tape.is_identity]
    assert len(defined) == 1 + len(tapes) == 4
    assert defined[0] == "host"
    assert sum(name.startswith("prologue") for name in defined) == 2


def test_plans_without_work(capsys: pytest.CaptureFixture[str]) -> None:
    theano.config.debug = 2
    theano.function([], [], name="nothing")()
    empty = theano.shared(np.ones((0, 3)), "empty")
    profile = theano.function([], T.exp(empty), name="empty").profile(repeats=1)
    assert profile.total.seconds >= 0
    assert profile.share(profile.total) in (0, 1)
    err = capsys.readouterr().err
    assert "plan of nothing: 0 calls, 0 FLOP, 0 B, arena 0 B; " in err
    assert "run of nothing: 0 calls in 0 s: nothing\n" in err
    assert "run of empty: 1 call in " in err


def test_functions_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    theano.config.debug = 1
    x = T.dvector("x")
    theano.function([x, T.dscalar()], x * 2, on_unused_input="ignore")([1.0], 2.0)
    assert capsys.readouterr().err.startswith("plan of function(x, float64 scalar): 1 call, 1 FLOP")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (1.234e-9, "1.23 ns"),
        (912.4e-9, "912 ns"),
        (999.7e-9, "1.00 us"),
        (45.67e-6, "45.7 us"),
        (1.5e-3, "1.50 ms"),
        (0.25, "250 ms"),
        (0.9997, "1 s"),
        (12.345, "12.3 s"),
        (1234.5, "1234 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
