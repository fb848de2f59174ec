"""Every example runs from its first line to its last, with one epoch on small data, not many."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist.training import History

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def run(name: str) -> None:
    runpy.run_path(str(EXAMPLES[0].with_name(f"{name}.py")), run_name="__main__")


ALONE = {"dropout", "one_epoch", "theano_logistic"}  # these have tests of their own


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_theano_logistic(dtype: str) -> None:
    train = runpy.run_path(str(EXAMPLES[0].with_name("theano_logistic.py")))["train"]
    costs, accuracy = train(dtype)
    assert len(costs) == 500
    assert np.isfinite(costs).all()
    assert costs[0] > 100 > costs[-1]
    assert accuracy == 1


@pytest.mark.usefixtures("one_epoch")
def test_one_epoch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["one_epoch.py", "3"])
    run("one_epoch")
    assert re.fullmatch(
        r"\d+\.\d\d% of the test images after 1 steps in \d+\.\d\d s\n", capsys.readouterr().out
    )
