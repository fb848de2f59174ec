"""NumPy, Numba's simulator and the PTX machine compute the same for every case."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.agreement import MODES, disagreements, start
from helpers.gpu import MODE
from helpers.gpu_modes import missing


@pytest.mark.slow
@pytest.mark.skipif(MODE is not None, reason="this process is one of the modes")
def test_modes_agree_on_every_case(tmp_path: Path) -> None:
    for mode in MODES:
        if reason := missing(mode):
            pytest.skip(reason)
    processes = [start("sim", tmp_path), *(start("ptx", tmp_path, k, 2) for k in range(2))]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert disagreements(tmp_path) == []
