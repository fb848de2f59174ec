"""The script for a machine with a GPU, without one: its steps, its limits, its summary."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from helpers.gpu import MODE
from helpers.small_mnist import small_arrays, write_idx_folder

HERE = Path(__file__).parent
BASH = shutil.which("bash")
pytestmark = [
    pytest.mark.skipif(MODE is not None, reason="no test of kernels"),
    pytest.mark.skipif(
        BASH is None or not sys.platform.startswith("linux"), reason="the script is for Linux"
    ),
]


def bash(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    text = f"set -euo pipefail\n. {HERE / 'steps.sh'}\n{script}"
    return subprocess.run(
        [str(BASH), "-c", text], cwd=folder, capture_output=True, text=True, timeout=60
    )


def rows(folder: Path) -> list[tuple[str, str, str]]:
    """Result, exit status and name of each step in a summary."""
    lines = (folder / "summary.txt").read_text().splitlines()
    found = [re.fullmatch(r"(passed|failed|skipped)\s+(\S+)\s+\d+s  (.+)", line) for line in lines]
    return [(m[1], m[2], m[3]) for m in found if m]


def logs(folder: Path) -> dict[str, str]:
    with tarfile.open(folder / "logs.tar.gz") as archive:
        return {
            Path(member.name).name: (archive.extractfile(member) or sys.exit()).read().decode()
            for member in archive.getmembers()
            if member.isfile()
        }


def test_each_result_is_recorded_and_the_next_step_runs(tmp_path: Path) -> None:
    done = bash(
        """
        begin_steps results 30
        step "says hello" 5 echo hello
        step "fails, with 3" 5 sh -c 'echo oh >&2; exit 3'
        step "never ends" 1 sh -c 'sleep 50 & wait'
        step "is not there" 5 /no/such/program
        skip sanitizer "there is none"
        note "data: none"
        step "the last" 5 true
        end_steps
        """,
        tmp_path,
    )
    assert done.returncode == 1, done.stderr
    assert rows(tmp_path / "results") == [
        ("passed", "0", "says hello"),
        ("failed", "3", "fails, with 3"),
        ("failed", "124", "never ends: stopped at its limit"),
        ("failed", "127", "is not there"),
        ("skipped", "-", "sanitizer: there is none"),
        ("passed", "0", "the last"),
    ]
    found = logs(tmp_path / "results")
    assert found["says-hello.log"] == "hello\n"
    assert found["fails--with-3.log"] == "oh\n"
    assert "data: none" in (tmp_path / "results" / "summary.txt").read_text()
    assert done.stdout.endswith((tmp_path / "results" / "summary.txt").read_text())


def test_no_step_begins_after_the_end(tmp_path: Path) -> None:
    """A limit is cut to the time that is left, and without any a step counts as failed."""
    script = "begin_steps r 6\nstep long 100 sleep 50\nstep late 5 touch late\nend_steps"
    done = bash(script, tmp_path)
    assert done.returncode == 1
    assert rows(tmp_path / "r") == [
        ("failed", "124", "long: stopped at its limit"),
        ("failed", "-", "late: no time is left"),
    ]
    assert not (tmp_path / "late").exists()


def test_all_passed_is_success(tmp_path: Path) -> None:
    assert bash("begin_steps r 9\nstep a 5 true\nend_steps", tmp_path).returncode == 0


def test_the_limits_leave_room_below_8_minutes() -> None:
    """All steps share one limit, and the summary takes seconds."""
    text = (HERE / "on_device.sh").read_text()
    [shared] = re.findall(r"^begin_steps \S+ (\d+)$", text, re.MULTILINE)
    assert int(shared) <= 475


@pytest.mark.parametrize("script", ["on_device.sh", "steps.sh"])
def test_the_syntax_is_right(script: str) -> None:
    subprocess.run([str(BASH), "-n", str(HERE / script)], check=True)
    shellcheck = shutil.which("shellcheck")
    if shellcheck is not None:
        subprocess.run([shellcheck, "-x", str(HERE / script)], check=True, cwd=HERE.parents[1])


@pytest.mark.slow
def test_a_dry_run_passes_every_step(tmp_path: Path) -> None:
    pytest.importorskip("numba_cuda")
    data = tmp_path / "mnist"
    write_idx_folder(data, small_arrays(training=400, test=40))
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "TINYGRAD_MNIST_DATA": str(data),
    }
    done = subprocess.run(
        [str(BASH), str(HERE / "on_device.sh"), "--dry-run", str(tmp_path / "results")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    steps = [row for row in rows(tmp_path / "results") if row[2] != "nvidia-smi"]
    assert [(result, name) for result, _, name in steps] == [
        ("passed", "package"),
        ("passed", "devices"),
        ("passed", "programs"),
        ("passed", "functions"),
        ("passed", "ties"),
        ("passed", "training"),
        ("passed", "steps in graphs of 1, 16 and 64"),
        ("passed", "profile"),
        ("passed", "suite in 2 shares"),
        ("skipped", "memcheck and racecheck: there is no compute-sanitizer"),
        ("passed", "train"),
        ("passed", "benchmark, W1 to W4"),
    ]
    summary = (tmp_path / "results" / "summary.txt").read_text()
    assert f"data: MNIST, from {data}" in summary
    found = logs(tmp_path / "results")
    assert re.search(r"^1 passed", found["ties.log"].splitlines()[-1]), found["ties.log"]
    assert "costs equal" in found["steps-in-graphs-of-1--16-and-64.log"]
    assert re.search(r"\d+\.\d\d %$", found["train.log"].strip())
    assert (tmp_path / "results" / "benchmark.json").exists()
    assert len(list((tmp_path / "results").rglob("*"))) <= 8  # all that some machines give back
