"""Curves of training runs: what is read from each record, and what is drawn."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import plots
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.keras import optimizers
from tinygrad_mnist.keras.callbacks import CSVLogger, History
from tinygrad_mnist.plots.curves import thinned
from tinygrad_mnist.plots.records import Curve, curves_of
from tinygrad_mnist.training import History as BookHistory

LOGS = [
    {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.25, "val_accuracy": 0.25, "learning_rate": 0.1},
    {"loss": 0.5, "accuracy": 0.75, "val_loss": 1.0, "val_accuracy": 0.5, "learning_rate": 0.05},
    {"loss": 0.25, "accuracy": 0.875, "val_loss": 0.5, "val_accuracy": 0.75, "learning_rate": 0.02},
]


def keras_history(first: int = 0) -> History:
    history = History()
    history.on_train_begin()
    for epoch, logs in enumerate(LOGS, first):
        history.on_epoch_end(epoch, dict(logs))
    return history


def csv_file(folder: Path, separator: str = ",") -> Path:
    logger = CSVLogger(folder / "log.csv", separator)
    logger.on_train_begin()
    for epoch, logs in enumerate(LOGS):
        logger.on_epoch_end(epoch, dict(logs))
    return folder / "log.csv"


def by_name(curves: list[Curve]) -> dict[tuple[str, str], list[float]]:
    return {(curve.what, curve.part): curve.values.tolist() for curve in curves}


EXPECTED = {
    ("loss", "training"): [1.0, 0.5, 0.25],
    ("loss", "validation"): [1.25, 1.0, 0.5],
    ("accuracy", "training"): [0.5, 0.75, 0.875],
    ("accuracy", "validation"): [0.25, 0.5, 0.75],
    ("learning_rate", "training"): [0.1, 0.05, 0.02],
}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_curves_of_every_kind_of_record(separator: str, tmp_path: Path) -> None:
    history = keras_history()
    path = csv_file(tmp_path, separator)
    for record in (history, history.history, path, str(path)):
        curves = curves_of(record, separator)
        assert by_name(curves) == EXPECTED
        assert list(by_name(curves))[:4] == list(EXPECTED)[:4]
        assert all(curve.x.tolist() == [1, 2, 3] for curve in curves)


def test_epochs_go_on_where_training_did() -> None:
    assert curves_of(keras_history(first=5))[0].x.tolist() == [6, 7, 8]


def test_the_old_name_of_accuracy() -> None:
    assert [curve.what for curve in curves_of({"acc": [0.5], "val_acc": [0.5]})] == ["accuracy"] * 2


@pytest.mark.parametrize(
    ("every", "epochs"), [(1, 3), (3, 3), (1, 6), (2, 6), (3, 6), (2, 7), (3, 7)]
)
def test_validation_in_some_epochs(every: int, epochs: int) -> None:
    measured = list(range(every, epochs + 1, every))
    curves = curves_of({"loss": [1.0] * epochs, "val_loss": [1.0] * len(measured)})
    assert curves[1].x.tolist() == measured


def test_what_is_missing_in_a_file_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,val_loss,name\n0,1.0,NA,x\n1,0.5,2.0,y\n2,nan\n\n")
    loss, val_loss = curves_of(path)
    np.testing.assert_array_equal(loss.values, [1.0, 0.5, np.nan])
    np.testing.assert_array_equal(val_loss.values, [np.nan, 2.0, np.nan])
    axes = plots.plot_history(path).axes
    assert [line.get_xydata().tolist() for line in axes[0].lines] == [[[1, 1], [2, 0.5]], [[2, 2]]]


def book_history(accuracies: list[float], batches: int, extra: int = 0) -> BookHistory:
    """Of a run that may have been interrupted in the middle of an epoch."""
    history = BookHistory()
    for epoch, accuracy in enumerate(accuracies):
        history.record_costs(np.linspace(1, 0, batches))
        if history.record_validation(accuracy, (epoch + 1) * batches - 1):
            history.record_test(accuracy - 0.1)
    history.record_costs(np.ones(extra))
    return history


@pytest.mark.parametrize(
    "accuracies", [[0.5, 0.75, 0.6], [0.75, 0.5, 0.75], [0.5], [0.75, 0.5, 0.25, 0.5]]
)
@pytest.mark.parametrize("extra", [0, 3, 9])
def test_a_history_of_network3(accuracies: list[float], extra: int) -> None:
    cost, validation, test = curves_of(book_history(accuracies, 10, extra))
    assert (cost.what, cost.part, cost.is_noisy) == ("cost", "training", True)
    np.testing.assert_allclose(cost.x, np.arange(1, 10 * len(accuracies) + extra + 1) / 10)
    assert validation.values.tolist() == accuracies
    assert validation.x.tolist() == list(range(1, len(accuracies) + 1))
    assert test.part == "test"
    best = np.maximum.accumulate(accuracies) == accuracies
    np.testing.assert_allclose(test.values, np.where(best, np.array(accuracies) - 0.1, np.nan))
    figure = plots.plot_history(book_history(accuracies, 10, extra))
    assert [ax.get_title() for ax in figure.axes] == ["cost", "accuracy"]


def test_a_run_without_an_epoch() -> None:
    (cost,) = curves_of(book_history([], 10, extra=4))
    assert cost.x.tolist() == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("record", "error", "said"),
    [
        (3, GraphTypeError, "3 is no record"),
        ([1.0, 2.0], GraphTypeError, "is no record"),
        (SimpleNamespace(history=3), GraphTypeError, "is no record"),
        ({}, ArgumentError, "no values to draw"),
        ({"loss": []}, ArgumentError, "no values to draw"),
        ({"loss": [float("nan")] * 2}, ArgumentError, "no values to draw"),
        (BookHistory(), ArgumentError, "no values to draw"),
        ({"learning_rate": [0.1]}, ArgumentError, "only learning rates"),
    ],
)
def test_what_is_no_record(record: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        plots.plot_history(record)


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for text in ("", "a,b\n1,2\n", "epoch;loss\n0;1\n"):
        path.write_text(text)
        with pytest.raises(ArgumentError, match=r"log\.csv: its first column isn't 'epoch'"):
            plots.plot_history(path)
    with pytest.raises(FileNotFoundError):
        plots.plot_history(tmp_path / "none.csv")


def test_panels_and_lines() -> None:
    figure = plots.plot_history(keras_history())
    assert [ax.get_title() for ax in figure.axes] == ["loss", "accuracy"]
    for ax, what in zip(figure.axes, ("loss", "accuracy"), strict=True):
        lines = {line.get_label(): line for line in ax.lines}
        assert [text.get_text() for text in ax.get_legend().texts] == ["training", "validation"]
        for part, line in lines.items():
            assert line.get_ydata().tolist() == EXPECTED[what, part]
        assert len({line.get_linestyle() for line in lines.values()}) == 2
        assert len({line.get_color() for line in lines.values()}) == 2


@pytest.mark.parametrize("n", [1, 3, 9])
def test_runs_beside_each_other(n: int, tmp_path: Path) -> None:
    runs = {f"run {i}": {"val_accuracy": [0.5, i / 10], "accuracy": [0, 1]} for i in range(n - 1)}
    figure = plots.plot_runs({**runs, "last": csv_file(tmp_path)}, tmp_path / "runs.png")
    (ax,) = figure.axes
    assert ax.get_title() == "accuracy, validation data"
    assert [line.get_label() for line in ax.lines] == [*runs, "last"]
    assert [line.get_ydata().tolist()[1] for line in ax.lines] == [
        *(i / 10 for i in range(n - 1)),
        0.5,
    ]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == n
    assert (tmp_path / "runs.png").exists()


def test_other_quantities_of_runs() -> None:
    runs = {"a": {"loss": [2, 1], "val_loss": [3, 2]}, "b": {"loss": [4, 3]}}
    (ax,) = plots.plot_runs(runs, what="loss").axes
    assert ax.get_title() == "loss, training data"
    assert [line.get_ydata().tolist() for line in ax.lines] == [[2, 1], [4, 3]]


@pytest.mark.parametrize(
    ("runs", "error", "said"),
    [
        ({}, GraphTypeError, "runs is {}"),
        ([{"loss": [1]}], GraphTypeError, "it must be a dict of records by name"),
        ({"a": {"loss": [1]}}, ArgumentError, "run 'a' has no accuracy; it has loss"),
        ({"a": {"accuracy": [1]}, "b": {"val_accuracy": [1]}}, ArgumentError, "some runs have"),
        ({"a": 7}, GraphTypeError, "7 is no record"),
    ],
)
def test_wrong_runs(runs: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        plots.plot_runs(runs)


@pytest.mark.parametrize("epochs", [1, 2, 3, 9, 60])
def test_epochs_are_whole_numbers(epochs: int) -> None:
    figure = plots.plot_history({"loss": np.arange(1.0, epochs + 1)})
    ticks = figure.axes[0].get_xticks()
    assert (ticks == np.round(ticks)).all()


@pytest.mark.parametrize("panels", [1, 3, 4, 7])
def test_one_panel_per_quantity(panels: int) -> None:
    figure = plots.plot_history({f"m{i}": [1.0, 2.0] for i in range(panels)})
    figure.draw_without_rendering()
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in drawn] == [f"m{i}" for i in range(panels)]
    boxes = [ax.get_tightbbox() for ax in drawn]
    whole = figure.bbox
    for i, box in enumerate(boxes):
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("n", [0, 1, 7, 10, 11, 1000])
def test_thinned_values_are_means_of_neighbours(n: int) -> None:
    x, values = np.arange(float(n)), np.arange(float(n)) * 2
    thin_x, thin = thinned(x, values, most=10)
    assert len(thin_x) == len(thin) == min(n, -(-n // max(-(-n // 10), 1)))
    np.testing.assert_allclose(thin, 2 * thin_x)
    if n % 10 == 0 and n:
        assert thin.mean() == pytest.approx(values.mean())


def test_thinned_values_leave_out_what_is_not_finite() -> None:
    x, values = thinned(np.arange(6.0), np.array([1, np.nan, 3, np.inf, 5, 7]), most=2)
    assert (x.tolist(), values.tolist()) == ([1.0, 4.5], [2.0, 6.0])


# --- learning rates -------------------------------------------------------------------------------


def lr_decay(epoch: int) -> float:
    return 0.01 * 0.5**epoch


@pytest.mark.parametrize(
    ("rates", "epochs", "title"),
    [
        (lr_decay, 4, "lr_decay"),
        (lambda epoch: lr_decay(epoch), 4, "learning rate"),
        ([lr_decay(i) for i in range(4)], None, "learning rate"),
        (np.array([lr_decay(i) for i in range(9)]), 4, "learning rate"),
        ({"loss": [1.0] * 4, "learning_rate": [lr_decay(i) for i in range(4)]}, None, None),
        (optimizers.schedules.ExponentialDecay(0.01, 1, 0.5), 4, "ExponentialDecay"),
    ],
)
def test_learning_rates(rates: Any, epochs: int | None, title: str | None) -> None:
    (ax,) = plots.plot_learning_rate(rates, epochs).axes
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(line.get_ydata(), [lr_decay(i) for i in range(4)], rtol=1e-6)
    assert ax.get_title() == f"{title or 'learning rate'}\nfrom 0.01 to 0.00125"


@pytest.mark.parametrize(
    ("rates", "scale"),
    [([0.1, 0.01], "linear"), ([1.0, 1e-4], "log"), ([0.1, 0.0], "linear"), ([0.1, -1], "linear")],
)
def test_the_scale_of_learning_rates(rates: list[float], scale: str) -> None:
    (ax,) = plots.plot_learning_rate(rates).axes
    assert ax.get_yscale() == scale
    assert ax.get_ylim()[0] <= min(rates)


@pytest.mark.parametrize(
    ("rates", "epochs", "said"),
    [
        (lr_decay, None, "number of epochs"),
        (lr_decay, 0, "epochs is 0"),
        ([], None, "no learning rates"),
        ([0.1, float("nan")], None, "aren't finite"),
        ({"loss": [1.0]}, None, "no learning rates"),
        (3, None, "is no record"),
    ],
)
def test_wrong_learning_rates(rates: Any, epochs: int | None, said: str) -> None:
    with pytest.raises(GraphTypeError, match=said):
        plots.plot_learning_rate(rates, epochs)
