"""Options of SGD that the book doesn't have: early stopping, shuffling, callbacks."""

# ruff: noqa: NPY002 (orders come from NumPy's global generator)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays, small_fc

from tinygrad_mnist.functions import Function
from tinygrad_mnist.network3 import Network, share_data
from tinygrad_mnist.training import History


def train(epochs: int, **options: Any) -> Network:
    data = share_data(arrays((40, 8, 8)))
    np.random.seed(7)
    net = small_fc()
    net.SGD(data[0], epochs, 4, 0.5, data[1], data[2], quiet=True, **options)
    return net


@pytest.mark.parametrize(
    ("accuracies", "without"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.6], 0),
        ([0.6, 0.6], 1),
        ([0.6, 0.5, 0.6, 0.1], 3),
        ([float("nan"), 0.1, 0.1], 1),
        ([-2.0, -1.0, float("nan")], 1),
    ],
)
def test_epochs_without_progress(accuracies: list[float], without: int) -> None:
    assert History(validation_accuracies=accuracies).epochs_without_progress == without


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_early_stopping(patience: int) -> None:
    history = train(60, early_stopping=patience).history
    values = history.validation_accuracies
    assert history.epochs < 60
    best = values.index(max(values))
    assert len(values) == best + 1 + patience
    whole = train(60).history
    np.testing.assert_array_equal(history.costs, whole.costs[: len(history.costs)])


def test_callbacks_see_every_epoch_and_can_end_the_run() -> None:
    seen: list[Any] = []

    def first(net: Network, epoch: int) -> None:
        seen.append((epoch, net.history.epochs))

    def second(net: Network, epoch: int) -> bool:
        seen.append(epoch)
        return epoch == 1

    assert train(5, callbacks=[second, first]).history.epochs == 2
    assert seen == [0, (0, 1), 1, (1, 2)]


def test_what_cannot_be_called_is_named() -> None:
    with pytest.raises(TypeError, match="callbacks has 'plot', which can't be called"):
        train(1, callbacks=["plot"])
    with pytest.raises(TypeError, match="callbacks is"):
        train(1, callbacks=print)
    with pytest.raises(ValueError, match="early_stopping must be at least 1, not 0"):
        train(1, early_stopping=0)
    with pytest.raises(TypeError, match="shuffle"):
        train(1, shuffle="yes")


def test_shuffling_takes_every_image_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    data = share_data(arrays((40, 8, 8)))
    seen: list[Any] = []
    sweep = Function.sweep

    def spy(self: Function, *arguments: Any, **options: Any) -> Any:
        if self.name == "train_mb":
            (x, y) = (v.get_value() for v in self.get_shared() if v.get_value().shape[:1] == (40,))
            seen.append((x, y))
        return sweep(self, *arguments, **options)

    monkeypatch.setattr(Function, "sweep", spy)
    before = data[0][0].get_value()
    np.random.seed(5)
    small_fc().SGD(data[0], 3, 4, 0.5, data[1], data[2], quiet=True, shuffle=True)
    np.testing.assert_array_equal(data[0][0].get_value(), before)
    labels = arrays((40, 8, 8))[0][1]
    orders = []
    for x, y in seen:
        x, y = (x, y) if x.ndim == 2 else (y, x)
        found = [int(np.flatnonzero((before == row).all(axis=1))[0]) for row in x]
        assert sorted(found) == list(range(40))
        np.testing.assert_array_equal(y, np.asarray(labels)[found])
        orders.append(found)
    assert len({tuple(order) for order in orders}) == 3


def test_shuffled_runs_repeat_with_numpys_seed() -> None:
    costs = []
    for seed in (1, 1, 2):
        np.random.seed(7)
        data = share_data(arrays((40, 8, 8)))
        net = small_fc()
        np.random.seed(seed)
        net.SGD(data[0], 3, 4, 0.5, data[1], data[2], quiet=True, shuffle=True)
        costs.append(net.history.costs)
    np.testing.assert_array_equal(costs[0], costs[1])
    assert not np.array_equal(costs[0], costs[2])


def test_a_history_is_one_line() -> None:
    assert repr(History()) == "History(0 epochs)"
    history = train(2).history
    text = repr(history)
    assert "\n" not in text
    assert text.startswith("History(2 epochs, validation ")
    assert text.endswith(" s)")


@pytest.mark.parametrize(
    ("answer", "ends"), [(True, 1), (np.True_, 1), (False, 3), (None, 3), (7, 3), ("yes", 3)]
)
@pytest.mark.parametrize("checkpointed", [False, True])
def test_true_itself_ends_a_run(answer: Any, ends: int, checkpointed: bool, tmp_path: Path) -> None:
    options = {"checkpoint": tmp_path / "run"} if checkpointed else {}
    history = train(3, callbacks=[lambda net, epoch: answer], **options).history
    assert history.epochs == ends


def test_one_sweep_per_chunk_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps: list[Any] = []
    sweep = Function.sweep

    def spy(self: Function, *arguments: Any, **options: Any) -> Any:
        sweeps.append((self.name, len(arguments[0])))
        return sweep(self, *arguments, **options)

    monkeypatch.setattr(Function, "sweep", spy)
    data = share_data(arrays((4 * 250, 8, 8)))
    small_fc().SGD(data[0], 2, 4, 0.1, data[1], data[2], quiet=True)
    steps = [count for name, count in sweeps if name == "train_mb"]
    assert steps == [100, 100, 50, 50, 100, 100]
    assert sum(name == "validate_mb_accuracy" for name, _ in sweeps) == 2


def test_a_histories_csv_after_an_interrupt() -> None:
    history = train(2).history
    whole = history.to_csv()
    history.record_costs([1000.0] * 3)  # of an epoch that didn't end
    assert history.to_csv() == whole
