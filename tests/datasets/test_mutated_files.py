"""Files with mistakes in them are read or refused; `tests/fuzz/files.py` is the long form."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="Pillow reads pictures: pip install -e '.[plot]'")

from helpers.hostile_files import readers, run


def test_every_reader(tmp_path: Path) -> None:
    for kind, reader in readers(tmp_path).items():
        outcomes, wrong = run(reader, tmp_path, 10**9, 150)
        assert not wrong, (kind, wrong)
        assert outcomes["refused"] > 10, kind
