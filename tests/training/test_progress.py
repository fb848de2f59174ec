from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from tinygrad_mnist.training import Reporter

LINES = ["Training mini-batch number 0", "Epoch 0: validation accuracy 91.00%"]
PROGRAM = f"""
import time
from tinygrad_mnist.training import Reporter
with Reporter(steps=400, images_per_step=10) as report:
    report.status("Epoch 0")
    report.line({LINES[0]!r})
    for _ in range(4):
        report.advance(100, 0.25)
        time.sleep(0.06)
    report.line({LINES[1]!r})
"""


def test_lines_and_no_bar_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with Reporter(steps=10, images_per_step=4) as report:
        report.status("Epoch 0")
        report.line("one")
        report.advance(10, 0.5)
    assert capfd.readouterr() == ("one\n", "")


def test_rich_is_imported_for_a_bar_only() -> None:
    code = (
        "import sys; from tinygrad_mnist.training import Reporter\n"
        "with Reporter(1, 1) as report: report.line('x')\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "x\nFalse\n"


def on_a_terminal(program: str, columns: int, shared_terminal: bool) -> tuple[bytes, bytes]:
    """What a program shows on a terminal of this width, and its standard output."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=follower if shared_terminal else subprocess.PIPE,
        stderr=follower,
        env=environment,
    ) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        output = b"" if process.stdout is None else process.stdout.read()
    os.close(leader)
    assert process.returncode == 0
    return shown, output


@pytest.mark.parametrize("shared_terminal", [False, True])
def test_bar_on_a_terminal(shared_terminal: bool) -> None:
    shown, output = on_a_terminal(PROGRAM, 100, shared_terminal)
    assert b"Epoch 0" in shown
    assert b"cost 0.2500" in shown
    assert b"images/s" in shown
    if shared_terminal:
        assert all(f"{line}\r\n".encode() in shown for line in LINES)
    else:
        assert output.decode() == "".join(line + "\n" for line in LINES)
        assert not any(line.encode() in shown for line in LINES)


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
def test_all_that_the_bar_shows_fits(columns: int) -> None:
    program = PROGRAM.replace("Epoch 0", "Epoch 12: validation")
    shown, _ = on_a_terminal(program, columns, False)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    lines = [line for line in re.split(r"[\r\n]+", plain) if "cost 0.2500" in line]
    assert lines
    for line in lines:
        assert "…" not in line
        assert len(line.rstrip()) <= columns
        assert line.startswith("Epoch 12: validation ")
        assert re.search(r" (25|50|75|100) % ", line)
        assert ("of 400 steps" in line) == (columns >= 115)


def test_other_lines_stand_above_the_bar() -> None:
    program = PROGRAM.replace(
        "    for _", "    import sys; print('debug: a line', file=sys.stderr)\n    for _"
    )
    shown, _ = on_a_terminal(program, 80, False)
    assert re.search(rb"(^|[\r\nKhl])debug: a line *\r?\n", shown)
