"""Every example runs from its first line to its last, with one epoch on small data, not many."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tinygrad_mnist.training import History

FOLDER = Path(__file__).parents[1] / "examples"
# The programs for Theano are in tests/theano/test_programs.py.
EXAMPLES = [path for path in sorted(FOLDER.glob("*.py")) if not path.stem.startswith("theano_")]


def run(name: str) -> None:
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")


ALONE = {"dropout", "one_epoch"}  # these have tests of their own


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES if path.stem not in ALONE])
def test_example(name: str, one_epoch: list[History], capsys: pytest.CaptureFixture[str]) -> None:
    run(name)
    assert len(one_epoch) == 1
    assert len(one_epoch[0].costs) == (25 if name == "expanded" else 5)
    assert "Finished training network." in capsys.readouterr().out


def test_dropout_after_expanded(
    one_epoch: list[History], capsys: pytest.CaptureFixture[str]
) -> None:
    run("expanded")
    run("dropout")
    assert len(one_epoch) == 6
    assert capsys.readouterr().out.splitlines()[-1].startswith("The vote of five: ")


@pytest.mark.usefixtures("one_epoch")
def test_one_epoch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["one_epoch.py", "3"])
    run("one_epoch")
    assert re.fullmatch(
        r"\d+\.\d\d% of the test images after 1 steps in \d+\.\d\d s\n", capsys.readouterr().out
    )
