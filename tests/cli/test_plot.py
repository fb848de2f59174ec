"""`tinygrad-mnist plot`, and the checkpoints of `train`."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.small_mnist import small_arrays, write_idx_folder

from tinygrad_mnist import cli

pytest.importorskip("matplotlib", reason="the pictures need the extra `plot`")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def data(tmp_path: Path) -> str:
    write_idx_folder(tmp_path / "small", small_arrays(training=120, test=40))
    return str(tmp_path / "small")


def train(data: str, path: Path, *more: str) -> int:
    command = ["train", "--net", "conv1", "--data", data, "--checkpoint", str(path), "--quiet"]
    return cli.main([*command, *more])


def test_a_run_is_drawn(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.safetensors"
    assert train(data, path, "--epochs", "2") == 0
    for what in ("curves", "filters", "errors", "confusion"):
        assert cli.main(["plot", str(path), "--what", what, "--data", data]) == 0
        picture = tmp_path / f"run-{what}.png"
        assert picture.read_bytes().startswith(PNG)
        assert f"drawn: {picture}" in capsys.readouterr().err
    assert cli.main(["plot", str(path), "--output", str(tmp_path / "a.svg")]) == 0
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()


def test_what_has_no_curves(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("epoch,loss\n0,1.0\n1,0.5\n")
    assert cli.main(["plot", str(tmp_path / "a.csv")]) == 0
    assert cli.main(["plot", str(tmp_path / "a.csv"), "--what", "errors"]) == 2
    assert "has only curves" in capsys.readouterr().err
    assert cli.main(["plot", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
    assert cli.main(["plot", str(tmp_path / "a.csv"), "--output", str(tmp_path / "a.txt")]) == 1


def test_runs_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        runs.append(str(tmp_path / folder / "run.csv"))
        Path(runs[-1]).write_text("epoch,val_accuracy\n0,0.5\n1,0.75\n")
    picture = tmp_path / "runs.png"
    assert cli.main(["plot", *runs, "--output", str(picture)]) == 0
    assert picture.read_bytes().startswith(PNG)
    capsys.readouterr()
    for wrong, said in (
        (runs, "--output"),
        ([*runs, "--output", str(picture), "--what", "errors"], "of one run"),
        ([runs[0], runs[0], "--output", str(picture)], "twice"),
    ):
        assert cli.main(["plot", *wrong]) == 2
        assert said in capsys.readouterr().err


def test_a_resumed_run_ends_as_a_whole_one(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    rate = ("--rate", "book")
    assert train(data, whole, "--epochs", "3", *rate) == 0
    last = capsys.readouterr().out
    assert train(data, parts, "--epochs", "1", *rate) == 0
    capsys.readouterr()
    assert train(data, parts, "--epochs", "3", "--resume", *rate) == 0
    assert capsys.readouterr().out == last
    assert cli.main(["train", "--net", "fc", "--resume", "--data", data]) == 2
    assert "--resume needs --checkpoint FILE" in capsys.readouterr().err
