"""Files with mistakes in them are read or refused; `tests/fuzz/files.py` is the long form."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="Pillow reads pictures: pip install -e '.[plot]'")

from helpers.hostile_files import outcome, readers, run


def test_every_reader(tmp_path: Path) -> None:
    for kind, reader in readers(tmp_path).items():
        for seed in reader.seeds:
            (tmp_path / reader.name).write_bytes(seed)
            assert outcome(reader, tmp_path / reader.name) == "read", kind
        outcomes, wrong = run(reader, tmp_path, 10**9, 150)
        assert not wrong, (kind, wrong)
        assert outcomes["refused"] > 10, kind


def test_an_error_that_quotes_the_file(tmp_path: Path) -> None:
    """A library may quote any amount of a damaged file; the message has the beginning."""
    reader = readers(tmp_path)["npz"]
    whole = reader.seeds[0]
    name = whole.index(b"x_train")
    (tmp_path / reader.name).write_bytes(whole[: name - 4] + b"\xff\xff\xff\xff" + whole[name:])
    with pytest.raises(reader.refuses, match=r"damaged, or not a data set") as caught:
        reader.read(tmp_path / reader.name)
    assert len(str(caught.value)) < 1500
