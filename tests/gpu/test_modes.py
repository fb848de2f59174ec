"""The tests of this folder, in the modes that a machine without a GPU has."""

from __future__ import annotations

import re

import pytest
from helpers.gpu import MODE
from helpers.gpu_modes import MODES_HERE, finish_mode, missing

LEAST = {"sim": 400, "compile": 150, "ptx": 80}  # tests of a mode


@pytest.mark.skipif(MODE is not None, reason="this process is one of the modes")
@pytest.mark.parametrize("mode", MODES_HERE)
def test_mode(mode: str) -> None:
    reason = missing(mode)
    if reason is not None:
        pytest.skip(reason)
    n_passed = 0
    for code, report in finish_mode(mode):
        assert code == 0, f"the tests in mode {mode} fail:\n{report[-8000:]}"
        passed = re.search(r"(\d+) passed", report)
        assert passed is not None
        n_passed += int(passed[1])
    assert n_passed >= LEAST[mode]
