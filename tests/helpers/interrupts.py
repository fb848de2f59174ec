"""Programs that get a real Ctrl-C, in a process of their own.

In the tests' own process an interrupt may strike in a callback of the garbage collector, where
Python can only ignore it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# Seconds in which an interrupt must be answered. Many processes may share a core; that a run did
# not go on to its end is for the programs to check.
PATIENCE = 60.0
# Programs may import the helpers.
TESTS, SET = str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")


def output_after_interrupt(program: str, *arguments: str, wait: float = 0.6) -> str:
    """What a Python program prints after SIGINT comes, `wait` seconds after it printed "ready".

    Asserts that its next line comes in time, and that it ends by itself.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (TESTS, SET)))},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        first = process.stdout.readline()
        assert time.monotonic() - start < PATIENCE
        rest = process.stdout.read()
    assert process.returncode == 0
    return first + rest
