"""What Keras's callbacks do for recorded logs, kept in ../golden/callbacks.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import callback_cases as cases

from tinygrad_mnist import keras

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "callbacks.json").read_text())


@pytest.mark.parametrize(
    ("name", "i"), [(name, i) for name, found in cases.OPTIONS.items() for i in range(len(found))]
)
def test_decisions_and_lines(name: str, i: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = cases.OPTIONS[name][i]
    for values, expected in zip(cases.sequences(), GOLDEN[name][i], strict=True):
        assert cases.run(keras, name, options, values) == expected, (options, values)


@pytest.mark.parametrize("i", range(len(cases.CSV)))
def test_files(i: int, tmp_path: Path) -> None:
    assert cases.csv_text(keras, *cases.CSV[i], tmp_path) == GOLDEN["CSVLogger"][i]
