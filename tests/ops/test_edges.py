"""Extreme integers in every place that takes one: the right result, or a clear error. Each group
runs in a process of its own, so that a crash, a hang or gigabytes show as a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.edges import GROUPS

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("group", GROUPS)
def test_edges(group: str, device: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "helpers.edges", group, device],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
