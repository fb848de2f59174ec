from __future__ import annotations

import os
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


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("shared_terminal", [False, True])
def test_bar_on_a_terminal(shared_terminal: bool) -> None:
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
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
    assert b"Epoch 0" in shown
    assert b"cost 0.2500" in shown
    assert b"images/s" in shown
    if shared_terminal:
        assert all(f"{line}\r\n".encode() in shown for line in LINES)
    else:
        assert output.decode() == "".join(line + "\n" for line in LINES)
        assert not any(line.encode() in shown for line in LINES)
