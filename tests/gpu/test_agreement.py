"""NumPy, Numba's simulator and the PTX machine compute the same for every case."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.agreement import disagreements, start


@pytest.mark.ptx
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_modes_agree_on_every_case(tmp_path: Path) -> None:
    processes = [start("sim", tmp_path), *(start("ptx", tmp_path, k, 2) for k in range(2))]
    try:
        assert [process.wait() for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
    assert disagreements(tmp_path) == []
