"""`PlotTraining`: what it records, draws and shows; `fit` stays one sweep per epoch."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import keras
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.keras.callbacks import CallbackList, PlotTraining, plot_learning_rate
from tinygrad_mnist.plots.curves import plot_learning_rate as the_same

pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra 'plot'")


def trained(epochs: int = 2, batches: int = 5, **options: Any) -> PlotTraining:
    callback = PlotTraining(**options)
    callbacks = CallbackList(callback)
    callbacks.on_train_begin()
    for epoch in range(epochs):
        values = 1 / (1 + epoch * batches + np.arange(batches))
        callbacks.on_epoch_batches(epoch, {"accuracy": 1 - values, "loss": values})
        logs = {"accuracy": 0.5, "loss": 1.0, "val_accuracy": 0.25, "val_loss": 2.0 - epoch}
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end()
    return callback


def lines(callback: PlotTraining) -> dict[str, list[list[float]]]:
    return {
        f"{ax.get_title()} {line.get_label()}": line.get_xydata().tolist()
        for ax in callback.figure.axes
        for line in ax.lines
    }


def test_two_panels_with_batches_and_epochs() -> None:
    found = lines(trained(sample_rate=2))
    assert list(found) == [
        *("loss training", "loss validation"),
        *("accuracy training", "accuracy validation"),
    ]
    x, values = np.array(found["loss training"]).T
    np.testing.assert_allclose(x, [0.2, 0.6, 1.0, 1.2, 1.6, 2.0])
    np.testing.assert_allclose(values, [1, 1 / 3, 1 / 5, 1 / 6, 1 / 8, 1 / 10])
    assert found["loss validation"] == [[1, 2.0], [2, 1.0]]
    assert found["accuracy validation"] == [[1, 0.25], [2, 0.25]]


@pytest.mark.parametrize("zoom", [1, 5, 16.0])
def test_zoom(zoom: float) -> None:
    loss, accuracy = trained(zoom=zoom).figure.axes
    assert loss.get_ylim() == (0, pytest.approx(1.03 * 2 / zoom))
    assert accuracy.get_ylim() == pytest.approx((1 - 1 / zoom, 1 + 0.03 / zoom))


@pytest.mark.parametrize("names", [["loss"], ["loss", "mse"], ["loss", "mse", "acc"]])
def test_other_metrics(names: list[str]) -> None:
    callback = PlotTraining()
    callback.on_epoch_batches(0, {name: np.array([1.0, np.nan]) for name in names})
    titles = [ax.get_title() for ax in callback.figure.axes]
    assert titles == ["loss", *names[-1:]] if len(names) > 1 else ["loss"]


def test_losses_that_are_not_finite() -> None:
    callback = PlotTraining()
    callback.on_epoch_batches(0, {"loss": np.array([np.nan, np.inf])})
    assert len(callback.figure.axes) == 1


def test_nothing_was_recorded() -> None:
    assert PlotTraining().figure.axes == []


def test_a_second_run_begins_anew() -> None:
    callback = trained()
    callback.on_train_begin()
    assert callback.figure.axes == []


def test_a_file_after_every_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(path=tmp_path / "training.png")
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == ""


def test_outside_of_a_notebook_a_line_says_how_to_see_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained()
    assert "path='training.png'" in capsys.readouterr().out


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """What a notebook displays."""
    seen: list[tuple[str, bytes]] = []

    def display(image: Any, display_id: bool) -> Any:
        assert display_id
        seen.append(("new", image.data))
        return SimpleNamespace(update=lambda image: seen.append(("update", image.data)))

    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=True)
    shown: Any = ModuleType("IPython.display")
    shown.display = display
    shown.Image = lambda data: SimpleNamespace(data=data)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return seen


def test_a_notebook_shows_one_picture_that_is_drawn_anew(
    notebook: list[tuple[str, bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    trained(epochs=3)
    assert [what for what, _ in notebook] == ["new", "update", "update"]
    assert all(data.startswith(b"\x89PNG") for _, data in notebook)
    assert len({data for _, data in notebook}) == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"zoom": 0}, "zoom is 0"),
        ({"zoom": float("inf")}, "zoom is inf"),
        ({"path": "a.bmp"}, "path is 'a.bmp'"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], said: str) -> None:
    with pytest.raises(GraphTypeError, match=said):
        PlotTraining(**options)


def test_fit_is_still_a_sweep_per_epoch() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((50, 4), np.float32), rng.integers(0, 3, 50)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    callback = PlotTraining(sample_rate=2)
    assert not CallbackList([callback]).wants_batches
    history = model.fit(
        x, y, batch_size=10, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback]
    )
    found = lines(callback)
    assert len(found["loss training"]) == 6
    assert [value for _, value in found["loss validation"]] == history.history["val_loss"]


def test_the_learning_rate_s_picture_is_at_hand() -> None:
    assert plot_learning_rate is the_same
