from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.search import Results, Run

RUNS = [
    Run(
        i,
        {"filters": (16, 32 + i), "rate": 10.0 ** -(i + 1), "name": ["b", "a"][i % 2], "epochs": 3},
        0,
        {"val_accuracy": 0.9 + i / 100, "loss": 0.123456 - i / 100} if i != 2 else {},
        12.34 + i,
        "ValueError: a|b " + "x" * 60 if i == 2 else None,
    )
    for i in range(4)
]


@pytest.fixture
def results() -> Results:
    return Results(RUNS, None)


def test_text(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    title, head, first, *_, last = str(results).splitlines()
    assert title == "4 runs, 1 failed, best first; epochs=3"
    assert head.split() == ["filters", "rate", "name", "val_accuracy", "loss", "seconds", "error"]
    assert first.split() == ["1", "16-35", "0.0001", "a", "0.93", "0.093456", "15.3"]
    assert last.split()[:6] == ["4", "16-34", "0.001", "b", "-", "-"]
    assert last.endswith("ValueError: a|b " + "x" * 60)


@pytest.mark.parametrize("width", [120, 80, 60, 40])
@pytest.mark.parametrize("rich", [False, True])
def test_tables_fit(
    width: int, rich: bool, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    file = io.StringIO()
    if rich:
        Console(file=file, width=width).print(results)
        lines = file.getvalue().splitlines()
    else:
        lines = str(results).splitlines()
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    assert "…" not in shown
    assert "0.93" in shown
    assert "16-32" in shown
    assert ("loss" in shown) == (width == 120)
    assert ("seconds" in shown) == (width == 120)
    assert ("ValueError" in shown) == (width > 40)


def test_files(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert list(rows[0])[-2:] == ["seconds", "error"]
    assert rows[0]["filters"] == "(16, 35)"
    assert float(rows[0]["rate"]) == 1e-4
    assert rows[3]["val_accuracy"] == ""
    results.save(tmp_path / "a.json")
    objects = json.loads((tmp_path / "a.json").read_text())
    assert objects[0]["settings"] == {"filters": [16, 35], "rate": 1e-4, "name": "a", "epochs": 3}
    assert objects[0]["values"] == RUNS[3].values
    results.save(tmp_path / "a.md")
    lines = (tmp_path / "a.md").read_text().splitlines()
    assert lines[0].startswith("| # | filters | rate | name | val_accuracy | loss |")
    assert lines[1].startswith("| ---: | --- | ---: | --- | ---: |")
    assert len(lines) == 6
    assert lines[-1].count("|") == lines[0].count("|") + 1
    assert "a\\|b" in lines[-1]
    with pytest.raises(ArgumentError, match=r"a.txt: the name must end in .csv, .json, .md"):
        results.save(tmp_path / "a.txt")


def test_a_number_with_the_name_of_a_setting() -> None:
    results = Results([Run(0, {"loss": 1}, 0, {"loss": 2.0})], None)
    assert results.rows()[0] == {"loss": 1, "returned loss": 2.0, "seconds": 0.0, "error": None}


def test_json_has_no_nan() -> None:
    text = Results([Run(0, {"x": 1}, 0, {"loss": float("nan"), "a": 1.0})], None).to_json()
    assert json.loads(text)[0]["values"] == {"loss": None, "a": 1.0}
    assert "NaN" not in text


def test_without_runs() -> None:
    empty = Results([], None)
    assert str(empty).startswith("0 runs, best first")
    assert empty.to_csv()
    with pytest.raises(ArgumentError, match="none of 0 runs has a score"):
        _ = empty.best


def test_picture(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = results.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    axes: dict[str, Any] = {a.get_xlabel(): a for a in figure.axes}
    assert set(axes) == {"filters", "rate", "name"}
    assert axes["rate"].get_xscale() == "log"
    assert [t.get_text() for t in axes["name"].get_xticklabels()] == ["a", "b"]
    texts = [t.get_text() for t in axes["filters"].get_xticklabels()]
    assert texts == ["16-32", "16-33", "16-35"]
    dots = axes["rate"].collections[0].get_offsets()
    expected = [(10.0 ** -(i + 1), 0.9 + i / 100) for i in (3, 1, 0)]
    np.testing.assert_allclose(dots, expected)
    assert axes["name"].lines[0].get_ydata().tolist() == pytest.approx([0.92, 0.9])
    assert figure.axes[0].get_ylabel() == "val_accuracy"


def test_a_picture_without_matplotlib(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_mnist\[plot\]'"):
        results.plot()


def test_a_picture_of_nothing() -> None:
    with pytest.raises(ArgumentError, match="no run with a score"):
        Results([], None).plot()
