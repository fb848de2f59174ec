"""What `fit`, `evaluate` and `predict` print, into a file and on a terminal."""

from __future__ import annotations

import io
import re
import time
from typing import Any

import numpy as np
import pytest
from helpers.small_sequential import classifier, samples

from tinygrad_mnist import keras
from tinygrad_mnist.keras.training import progress
from tinygrad_mnist.keras.training.totals import Totals

X, Y = samples(50)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def shape_of(text: str) -> list[str]:
    """The lines, with N for every number."""
    return re.sub(r"\d+(\.\d+)?(e-\d+)?(ms|us|s)?(?=[ /\n])", "N", text).splitlines()


def test_lines_of_fit(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, Y, epochs=2, batch_size=8, validation_data=(X, Y))
    bar = "━" * 20
    line = f"N/N {bar} N N/step - accuracy: N - loss: N"
    shown = shape_of(capsys.readouterr().out)
    assert shown == [
        "Epoch N/N",
        line,
        "    val_accuracy: N - val_loss: N",
        "Epoch N/N",
        line,
        "    val_accuracy: N - val_loss: N",
    ]


def test_one_line_per_epoch_and_none(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    model.fit(X, Y, epochs=2, batch_size=8, verbose=2)
    line = "N/N - N - N/step - accuracy: N - loss: N"
    assert shape_of(capsys.readouterr().out) == ["Epoch N/N", line, "Epoch N/N", line]
    model.fit(X, Y, verbose=2)
    assert shape_of(capsys.readouterr().out) == [line]
    model.fit(X, Y, epochs=2, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""


def test_lines_of_evaluate_and_predict(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    model.evaluate(X, Y)
    model.predict(X)
    bar = "━" * 20
    assert capsys.readouterr().out.startswith("2/2 ")
    model.evaluate(X, Y)
    assert shape_of(capsys.readouterr().out) == [f"N/N {bar} N N/step - accuracy: N - loss: N"]
    model.predict(X)
    assert shape_of(capsys.readouterr().out) == [f"N/N {bar} N N/step"]


def test_an_iterable_of_unknown_length(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(b for b in [(X, Y), (X, Y), (X, Y)])
    assert capsys.readouterr().out.startswith("3/3 ")


def test_what_callbacks_add_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 0.25)
    classifier().fit(X, Y, callbacks=[rate])
    assert "learning_rate: 0.2500" in capsys.readouterr().out


def test_a_terminal_is_drawn_on_while_the_epoch_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr(progress, "_INTERVAL", 0.002)
    monkeypatch.setenv("NO_COLOR", "1")
    model = classifier(keras.layers.Dense(200, "relu"))
    x, y = samples(8000)
    model.fit(x, y, batch_size=4, epochs=1)
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert len(drawn) > 3
    counts = [int(text.split("/")[0]) for text in drawn[1:]]
    assert counts == sorted(counts)
    assert 0 < counts[0] < 2000
    assert all("accuracy: 0." in text and "loss: " in text for text in drawn[1:])
    assert drawn[-1].endswith("\n")
    assert drawn[-1].startswith("2000/2000")
    assert "\n" not in "".join(drawn[:-1])


def test_a_line_is_ended_where_an_error_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    line = progress.Progress(1, 10, lambda: (3, {"loss": 0.5}))
    line.__enter__()
    line.end_steps()
    line.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert terminal.getvalue().endswith("loss: 0.5000\n")
    before = terminal.getvalue()
    time.sleep(0.25)
    assert terminal.getvalue() == before  # the thread has ended


@pytest.mark.parametrize(("settings", "has_colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], has_colour: bool
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    classifier().fit(X, Y)
    assert ("\x1b[32m" in terminal.getvalue()) == has_colour


def test_an_output_without_the_bars_character(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", plain)
    classifier().fit(X, Y)
    plain.flush()
    plain.seek(0)
    assert "2/2 ==================== " in plain.read()


# --- means ----------------------------------------------------------------------------------------


def test_means_over_batches() -> None:
    totals = Totals(["loss", "accuracy", "weighted"], [False, False, True])
    first: list[Any] = [[2.0, 1.0], [3.0, 4.0], [1.0, 0.0], [2.0, 0.0]]
    totals.add([np.array(v) for v in first], np.array([4, 4]))
    totals.add([np.array(v) for v in ([4.0], [2.0], [1.0], [0.5])], np.array([2]))
    assert totals.steps == 3
    assert totals.logs() == {"accuracy": 0.9, "loss": 2.0, "weighted": 0.8}
    assert totals.values() == [2.0, 0.9, 0.8]
    batches = totals.batches()
    assert batches["loss"].tolist() == [2, 1, 4]
    assert batches["accuracy"].tolist() == [0.75, 1, 1]
    assert batches["weighted"].tolist() == [0.5, 0, 2]
