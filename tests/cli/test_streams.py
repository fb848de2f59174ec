"""What the command does where it can't write, has no memory, or is interrupted: one line, no
traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinygrad_mnist import cli

COMMAND = [sys.executable, "-m", "tinygrad_mnist"]
INFO = ["info", "--data", "digits"]


def in_shell(arguments: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    line = " ".join(map(repr, [*COMMAND, *arguments]))
    return subprocess.run(
        ["sh", "-c", f"{line} {redirection}"], capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    ("redirection", "code", "words"),
    [
        (">&-", 1, "tinygrad-mnist: standard output is closed\n"),
        ("2>&-", 0, ""),
        (">&- 2>&-", 1, ""),
        ("<&-", 0, ""),
        (">/dev/full", 1, "tinygrad-mnist: [Errno 28] No space left on device\n"),
        ("2>/dev/full", 0, ""),
        (">/dev/full 2>/dev/full", 1, ""),
    ],
)
def test_closed_and_full_streams(redirection: str, code: int, words: str) -> None:
    done = in_shell(INFO, redirection)
    assert (done.returncode, done.stderr) == (code, words)


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", ">/dev/full"])
def test_a_command_that_prints_nothing_needs_no_standard_output(
    tmp_path: Path, redirection: str
) -> None:
    pytest.importorskip("matplotlib")
    run, picture = tmp_path / "a.csv", tmp_path / "a.png"
    run.write_text("epoch,loss\n0,1.0\n1,0.5\n")
    done = in_shell(["plot", str(run), "--quiet", "--output", str(picture)], redirection)
    assert (done.returncode, done.stderr) == (0, "")
    assert picture.stat().st_size


def test_help_where_standard_output_is_closed() -> None:
    done = in_shell(["--help"], ">&-")
    assert (done.returncode, done.stderr) == (1, "tinygrad-mnist: standard output is closed\n")


def test_errors_where_standard_error_is_closed() -> None:
    done = in_shell(["info", "--data", ""], "2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize("command", ["train", "profile", "expand", "evaluate", "info", "book"])
def test_an_empty_name_is_wrong_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--data", ""]) == 2
    first = capsys.readouterr().err.partition("\n")[0]
    assert first.startswith(f"tinygrad-mnist {command}: argument --")
    assert first.endswith(": the name is empty")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
@pytest.mark.parametrize("batch", ["100000000", "2147483647"])
def test_too_little_memory(batch: str) -> None:
    """In a process with a limit: some systems promise any memory, and kill who uses it."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30));"
        "from tinygrad_mnist.cli import main;"
        f"sys.exit(main(['profile', '--net', 'fc', '--batch', '{batch}', '--steps', '10',"
        " '--data', 'digits']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tinygrad-mnist: there is not enough memory")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", ["0", "-1", "x", "2147483648", "9" * 5000])
def test_numbers_out_of_range(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["profile", "--batch", number]) == 2
    assert "is not a positive integer below 2**31" in capsys.readouterr().err


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["profile", "--data", "\x1b]0;title\x07"]) == 1
    err = capsys.readouterr().err
    assert err == "tinygrad-mnist: \\x1b]0;title\\x07: no such file or folder\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["profile", "--trace", "missing/t.json", "--data", "digits"],
        ["profile", "--trace", ".", "--data", "digits"],
        ["train", "--model", "mlp", "--plot", "folder/p.png", "--data", "digits"],
        ["expand", "--out", "folder", "--format", "pickle", "--data", "digits"],
        ["book", "--output", "folder/t.md", "--data", "digits", "--only", "fc"],
    ],
)
def test_files_that_can_not_be_written_are_noticed_first(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    start = time.perf_counter()
    assert cli.main(arguments) in (1, 2)
    assert capsys.readouterr().out == ""
    assert time.perf_counter() - start < 30


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("module", ["config", "graph.op", "datasets", "cli.arguments"])
def test_an_interrupt_while_modules_are_loaded(module: str) -> None:
    """Before the package's first line Python itself answers; then the command does."""
    code = f"""
import sys, time
import importlib.abc

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "tinygrad_mnist.{module}":
            print("on", flush=True)
            time.sleep(60)  # until the signal comes

sys.meta_path.insert(0, Watch())
sys.argv = ["tinygrad-mnist", "info", "--data", "digits"]
from tinygrad_mnist.cli import main
sys.exit(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "tinygrad-mnist: interrupted\n")
