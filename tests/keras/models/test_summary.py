"""summary(): the table, at several widths."""

from typing import Any

import pytest

from tinygrad_mnist import keras
from tinygrad_mnist.keras import layers
from tinygrad_mnist.keras.layers.naming import reset_names


@pytest.fixture
def model() -> keras.Sequential:
    reset_names()
    return keras.Sequential(
        [
            layers.Conv2D(32, 3, activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dense(10, activation="softmax"),
        ],
        name="net",
    )


def lines(model: keras.Sequential, **options: Any) -> list[str]:
    found: list[str] = []
    model.summary(print_fn=found.append, **options)
    return found


def test_at_80_columns(model: keras.Sequential, capsys: pytest.CaptureFixture[str]) -> None:
    model.summary(line_length=80)
    text = capsys.readouterr().out
    assert text.splitlines() == lines(model, line_length=80)
    assert "\x1b" not in text
    assert {len(line) for line in text.splitlines()[1:-3]} == {80}
    for row in (
        "│ conv2d (Conv2D)                   │ (None, 26, 26, 32)        │          320 │",
        "│ max_pooling2d (MaxPooling2D)      │ (None, 13, 13, 32)        │            0 │",
        "│ flatten (Flatten)                 │ (None, 5408)              │            0 │",
        "│ dense (Dense)                     │ (None, 10)                │       54,090 │",
    ):
        assert row in text
    assert text.splitlines()[0] == 'Model: "net"'
    assert text.splitlines()[-3:] == [
        " Total params: 76,042 (297.04 KB)",
        " Trainable params: 65,226 (254.79 KB)",
        " Non-trainable params: 10,816 (42.25 KB)",
    ]


@pytest.mark.parametrize("width", [40, 50, 60, 100])
def test_names_and_numbers_stay_whole(model: keras.Sequential, width: int) -> None:
    text = "\n".join(found := lines(model, line_length=width))
    assert max(map(len, found)) <= width
    for whole in ("batch_normalization", "(BatchNormalization)", "21,632", "54,090", "(None, 10)"):
        assert whole in text


def test_the_width_follows_the_terminal(
    model: keras.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns, width in ((40, 40), (70, 70), (200, 88)):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert max(map(len, lines(model))) == width


def test_nested_unbuilt_and_flags(model: keras.Sequential) -> None:
    outer = keras.Sequential([model, layers.Dense(2)], name="outer[x]")
    model.layers[0].trainable = False
    text = "\n".join(lines(outer, expand_nested=True, show_trainable=True))
    assert 'Model: "outer[x]"' in text
    assert "net (Sequential)" in text
    assert "  conv2d (Conv2D)" in text
    assert "│     N     │" in text
    assert "conv2d" not in "\n".join(lines(outer))
    text = "\n".join(lines(keras.Sequential([layers.Dense(2)])))
    assert "(unbuilt)" in text
    assert "Not built" in text
    with pytest.raises(ValueError, match="line_length is 3"):
        model.summary(line_length=3)
