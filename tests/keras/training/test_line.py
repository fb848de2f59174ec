"""The text of progress lines at several widths."""

from __future__ import annotations

import re

import pytest

from tinygrad_mnist.keras.training.line import (
    State,
    Style,
    final_lines,
    plain_line,
    running_line,
)

LOGS = {"accuracy": 0.91234, "loss": 0.29014}
VALIDATED = {**LOGS, "val_accuracy": 0.95, "val_loss": 0.17}
DONE = State(469, 469, 1.2, 0.0024)
HALF = State(230, 469, 1.2, 0.005)
BAR = "━" * 20


def test_a_final_line_is_keras_own() -> None:
    expected = f"469/469 {BAR} 1s 2ms/step - accuracy: 0.9123 - loss: 0.2901"
    assert final_lines(DONE, LOGS, Style(80)) == expected
    wide = final_lines(DONE, VALIDATED, Style(200))
    assert wide == f"{expected} - val_accuracy: 0.9500 - val_loss: 0.1700"


def test_a_long_line_is_continued() -> None:
    assert final_lines(DONE, VALIDATED, Style(80)).split("\n") == [
        f"469/469 {BAR} 1s 2ms/step - accuracy: 0.9123 - loss: 0.2901",
        "    val_accuracy: 0.9500 - val_loss: 0.1700",
    ]
    assert final_lines(DONE, VALIDATED, Style(40)).split("\n") == [
        f"469/469 {BAR} 1s 2ms/step",
        "    accuracy: 0.9123 - loss: 0.2901",
        "    val_accuracy: 0.9500",
        "    val_loss: 0.1700",
    ]


def test_the_bar_becomes_shorter_before_the_line_is_continued() -> None:
    line = final_lines(DONE, LOGS, Style(65))
    assert line == f"469/469 {'━' * 11} 1s 2ms/step - accuracy: 0.9123 - loss: 0.2901"


@pytest.mark.parametrize("width", range(20, 140))
def test_lines_fit(width: int) -> None:
    style = Style(width)
    for text in (
        final_lines(DONE, VALIDATED, style),
        plain_line(DONE, VALIDATED, style),
        running_line(HALF, VALIDATED, style),
    ):
        lines = text.split("\n")
        assert all(len(line) <= max(width, 28) for line in lines)
    if width >= 28:
        assert all(
            f"{value:.4f}" in final_lines(DONE, VALIDATED, style) for value in VALIDATED.values()
        )
    assert "\n" not in running_line(HALF, VALIDATED, style)
    assert running_line(HALF, VALIDATED, style).startswith("230/469")


def test_a_running_line() -> None:
    assert running_line(HALF, LOGS, Style(80)) == (
        f"230/469 {'━' * 9}{'.' * 11} 1s 5ms/step - accuracy: 0.9123 - loss: 0.2901"
    )
    assert running_line(HALF, LOGS, Style(40)) == "230/469 1s 5ms/step - accuracy: 0.9123"
    coloured = running_line(HALF, LOGS, Style(80, has_colour=True))
    assert re.sub("\x1b\\[\\d*m", "", coloured).count("━") == 20
    unknown = running_line(State(7, None, 1.0, 0.1), LOGS, Style(80))
    assert unknown == "7/Unknown 1s 100ms/step - accuracy: 0.9123 - loss: 0.2901"


def test_a_line_without_a_bar() -> None:
    assert plain_line(DONE, LOGS, Style(80)) == (
        "469/469 - 1s - 2ms/step - accuracy: 0.9123 - loss: 0.2901"
    )


@pytest.mark.parametrize(
    ("seconds", "step_seconds", "text"),
    [
        (0.2, 3e-5, "0s 30us/step"),
        (59.0, 1.5, "59s 2s/step"),
        (61.0, 0.0, "1:01 0s/step"),
        (3725.0, 0.0015, "1:02:05 2ms/step"),
    ],
)
def test_times(seconds: float, step_seconds: float, text: str) -> None:
    line = final_lines(State(5, 5, seconds, step_seconds), {}, Style(80))
    assert line == f"5/5 {BAR} {text}"


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5000"), (1e-3, "1.0000e-03"), (0.0, "0.0000e+00"), (-2, "-2.0000")]
)
def test_values(value: float, text: str) -> None:
    assert final_lines(State(1, 1, 0, 1), {"a": value}, Style(80)).endswith(f"- a: {text}")
    assert final_lines(State(1, 1, 0, 1), {"a": float("nan")}, Style(80)).endswith("- a: nan")
