"""Training runs give Keras's losses, histories, evaluations and predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import keras_training as runs

from tinygrad_mnist import keras

_GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "training.json").read_text())["runs"]
# Epochs of 4 of the 11 batches end early where the data do, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")
_TOLERANCE = {"rel": 2e-5, "abs": 2e-6}


def _same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            _same(ours[name], value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            _same(one, other)
    else:
        assert ours == pytest.approx(theirs, **_TOLERANCE)


@pytest.mark.parametrize("name", list(runs.CASES))
def test_a_run_is_as_in_keras(name: str) -> None:
    """The first ten batches, the history, an evaluation, predictions, a step on one batch."""
    _same(runs.results(keras, runs.CASES[name]), _GOLDEN[name])


@pytest.mark.parametrize(
    "name", ["normalized, Adam", "sample weights", "steps", "validation steps"]
)
def test_an_epoch_in_one_sweep_gives_the_same(name: str) -> None:
    """Without a callback that wants batches."""
    ours = runs.results(keras, runs.CASES[name], keeps_batches=False)
    _same(ours, {**_GOLDEN[name], "batches": []})
