"""Checkpoints: a run that goes on from one ends with the same bits as an undisturbed one."""

# ruff: noqa: NPY002 (orders and weights come from NumPy's global generator)

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays

from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.network3 import (
    Checkpoint,
    FullyConnectedLayer,
    Network,
    Reporter,
    SoftmaxLayer,
    share_data,
)
from tinygrad_mnist.training.schedule import annealed

EPOCHS, BATCHES = 3, 150


def network(p_dropout: float = 0.3) -> Network:
    layers = [FullyConnectedLayer(12, 7, p_dropout=p_dropout), SoftmaxLayer(7, 5, p_dropout)]
    return Network(layers, 4, seed=2)


def train(net: Network, seed: int = 1, **options: Any) -> Network:
    data = share_data(arrays((4 * BATCHES, 8, 8), seed=seed))
    rate = annealed(0.5, EPOCHS * BATCHES)
    given = {"epochs": EPOCHS, "eta": rate, "lmbda": 0.1, "quiet": True, **options}
    np.random.seed(9)  # of the orders, where they are shuffled
    net.SGD(data[0], given.pop("epochs"), 4, given.pop("eta"), data[1], data[2], **given)
    return net


def alike(one: Network, other: Network) -> None:
    for a, b in zip(one.params, other.params, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())
    for name in ("costs", "validation_accuracies", "test_accuracies"):
        np.testing.assert_array_equal(getattr(one.history, name), getattr(other.history, name))
    for name in ("best_validation_accuracy", "best_iteration", "test_accuracy"):
        assert getattr(one.history, name) == getattr(other.history, name)


def stopped(path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Network:
    """A run that is interrupted after so many sweeps."""
    chunks = []

    def interrupt(self: Any, steps: int, cost: float) -> None:
        chunks.append(steps)
        if len(chunks) == chunk:
            raise KeyboardInterrupt

    net = network()
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(net, checkpoint=path, **options)
    return net


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_run_goes_on_as_if_never_stopped(
    chunk: int, shuffle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    whole = train(network(), shuffle=shuffle)
    half = stopped(path, chunk, monkeypatch, shuffle=shuffle)
    kept = Network.load(path)
    for a, b in zip(kept.params, half.params, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())
    again = train(network(), shuffle=shuffle, checkpoint=Checkpoint(path, resume=True))
    alike(again, whole)
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("every", [7, 40, 100, 150, 1000])
def test_checkpoints_do_not_change_a_run(every: int, tmp_path: Path) -> None:
    whole = train(network())
    alike(train(network(), checkpoint=Checkpoint(tmp_path / "run", every)), whole)


def test_an_ended_run_can_be_made_longer(tmp_path: Path) -> None:
    path = tmp_path / "run"
    first = train(network(), epochs=1, checkpoint=path)
    second = train(network(), checkpoint=Checkpoint(path, resume=True))
    alike(second, train(network()))
    assert second.history.seconds > first.history.seconds
    third = train(network(), checkpoint=Checkpoint(path, resume=True))
    alike(third, second)


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run"
    seen: list[Any] = []

    def note(net: Network, epoch: int) -> None:
        seen.append([p.get_value() for p in net.params])

    net = train(network(), checkpoint=path, callbacks=[note])
    values = net.history.validation_accuracies
    latest_best = max(i for i, v in enumerate(values) if v == max(values))
    for a, b in zip(Network.load(path, best=True).params, seen[latest_best], strict=True):
        np.testing.assert_array_equal(a.get_value(), b)


def test_early_stopping_holds_after_a_resumption(tmp_path: Path) -> None:
    options = {"epochs": 40, "early_stopping": 2}
    whole = train(network(), **options)
    train(network(), checkpoint=tmp_path / "run", **options)
    again = train(network(), checkpoint=Checkpoint(tmp_path / "run", resume=True), **options)
    alike(again, whole)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(network(), epochs=1, eta=0.5, checkpoint=path)
    again = Checkpoint(path, resume=True)
    for options, message in (
        ({"eta": 0.25}, "of a run with eta 0.5; this one has 0.25"),
        ({"eta": 0.5, "lmbda": 0.0}, "with lmbda 0.1"),
        ({"eta": 0.5, "seed": 2}, "with training data"),
        ({"eta": 0.5, "shuffle": True}, "with seed of shuffling"),
        ({"eta": annealed(0.5, 300)}, "with eta 0.5; this one has"),
    ):
        with pytest.raises(SavedFileError, match=message):
            train(network(), checkpoint=again, **options)
    with pytest.raises(SavedFileError, match="of a network with layers"):
        train(network(0.5), checkpoint=again)
    network().save(path)
    with pytest.raises(SavedFileError, match="is no checkpoint of a run"):
        train(network(), checkpoint=again)


def test_a_schedule_for_another_number_of_steps_is_refused(tmp_path: Path) -> None:
    train(network(), epochs=1, eta=annealed(0.5, 300), checkpoint=tmp_path / "run")
    again = Checkpoint(tmp_path / "run", resume=True)
    with pytest.raises(SavedFileError, match=r"of a run with eta .*300.*; this one has .*450"):
        train(network(), eta=annealed(0.5, 450), checkpoint=again)


def test_arguments() -> None:
    assert repr(Checkpoint("a", 5)) == "Checkpoint('a', every=5, resume=False)"
    with pytest.raises(ValueError, match="every"):
        Checkpoint("a", 0)
    with pytest.raises(TypeError, match="checkpoint is 5; it must be a path or a Checkpoint"):
        train(network(), checkpoint=5)


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from network3.test_checkpoint import Checkpoint, network, train
train(network(), epochs=2000, eta=0.01, checkpoint=Checkpoint({path!r}, 20, resume=True))
"""


def test_a_killed_run_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "run"
    tests = str(Path(__file__).parents[1])
    program = PROGRAM.format(tests=tests, path=str(path))
    for wait in (0.0, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": f"{tests}/helpers"}
        )
        end = time.monotonic() + 60
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = Network.load(path)
    assert all(np.isfinite(p.get_value()).all() for p in kept.params)
    steps = 3 * BATCHES
    again = train(network(), epochs=3, eta=0.01, checkpoint=Checkpoint(path, resume=True))
    whole = train(network(), epochs=3, eta=0.01)
    if again.history.steps == steps:
        alike(again, whole)
    np.testing.assert_array_equal(again.history.costs[:steps], whole.history.costs)
