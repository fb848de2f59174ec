"""Every example runs from its first line to its last, with one epoch on small data, not many."""

from __future__ import annotations

import ast
import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

from tinygrad_mnist.training import History

FOLDER = Path(__file__).parents[1] / "examples"
# The programs for Theano are in tests/theano/test_programs.py.
EXAMPLES = [path for path in sorted(FOLDER.glob("*.py")) if not path.stem.startswith("theano_")]


def run(name: str) -> None:
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")


ALONE = {"dropout", "one_epoch"}  # these have tests of their own
RUNS = {"tanh": 2, "ensemble": 3}  # of SGD; 1 in the others
PICTURES = {"one_conv": "filters.png", "tanh": "tanh.png", "ensemble": "errors.png"}


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES if path.stem not in ALONE])
def test_example(name: str, one_epoch: list[History], capsys: pytest.CaptureFixture[str]) -> None:
    run(name)
    assert len(one_epoch) == RUNS.get(name, 1)
    assert len(one_epoch[0].costs) == (25 if name == "expanded" else 5)
    assert "Finished training network." in capsys.readouterr().out
    pictures = [PICTURES[name]] if name in PICTURES and find_spec("matplotlib") else []
    assert [str(path) for path in Path().glob("*.png")] == pictures


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_how_long_it_takes(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert re.search(r"minute|second|epochs|trains for|as long as", text)


def test_an_example_goes_on_where_it_was_stopped(
    one_epoch: list[History], capsys: pytest.CaptureFixture[str]
) -> None:
    run("early_stopping")
    first = capsys.readouterr().out
    run("early_stopping")
    assert [history.epochs for history in one_epoch] == [1, 1]
    assert "Epoch 0" in first
    assert "Epoch 0" not in capsys.readouterr().out


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
        r"\d+\.\d\d% of the test images after 1 step in \d+\.\d\d s\n", capsys.readouterr().out
    )
