from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import cli, keras
from tinygrad_mnist.cli.drawing import draw
from tinygrad_mnist.datasets import draw_digits
from tinygrad_mnist.datasets.photos import as_mnist

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def digits() -> Any:
    images, _ = draw_digits(3, seed=5)
    return [as_mnist(image)[0] for image in images.reshape(-1, 28, 28).astype(np.uint8)]


@pytest.fixture
def model(tmp_path: Path, digits: Any, monkeypatch: pytest.MonkeyPatch) -> keras.Sequential:
    """A model that takes each of the digits for a class of its own, 0 to 2, saved as m.keras."""
    monkeypatch.chdir(tmp_path)
    rows = np.stack(digits).reshape(3, 784) / 255.0
    dense = keras.layers.Dense(4, activation="softmax")
    made = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), dense])
    scale = 40 / (rows**2).sum(1)
    weights = np.zeros((784, 4), np.float32)
    weights[:, :3] = (rows * scale[:, None]).T
    made.set_weights([weights, np.zeros(4, np.float32)])
    made.save("m.keras")
    return made


@pytest.fixture
def files(digits: Any, model: Any) -> list[str]:
    pillow = pytest.importorskip("PIL.Image")
    for i, digit in enumerate(digits):
        big = pillow.fromarray(255 - digit).resize((140, 140), pillow.Resampling.NEAREST)
        paper = pillow.new("L", (300, 200), 255)
        paper.paste(big, (90, 20))
        paper.save(f"{i}.png")
    return ["0.png", "1.png", "2.png"]


def test_predict(files: list[str], model: Any, digits: Any, capsys: Capture) -> None:
    assert cli.main(["predict", "m.keras", *files]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = re.findall(r"^(\d)\.png: (\d) \((\d+\.\d) %\)$", out, re.MULTILINE)
    assert [(name, label) for name, label, _ in found] == [(n, n) for n in "012"]
    expected = model.predict(np.stack(digits) / 255.0, verbose=0).max(1)
    for (_, _, share), right in zip(found, expected, strict=True):
        assert abs(float(share) - 100 * right) < 5
    assert out.count("  then ") == 3
    words = " ".join(out.split())
    assert words.count("inverted, cropped to ") + words.count("inverted, reduced to ") == 3
    assert words.count("scaled to ") == words.count("centred by mass") == 3
    drawing = out.split("mass\n")[1].split("1.png")[0].splitlines()
    assert max(map(len, drawing)) <= 30
    assert 8 <= len(drawing) <= 14
    assert {"▀", "█"} <= set("".join(drawing))


def test_quiet(files: list[str], capsys: Capture) -> None:
    assert cli.main(["predict", "m.keras", *files, "--quiet"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows] == [["0.png", "0"], ["1.png", "1"], ["2.png", "2"]]
    assert all(0.25 <= float(share) <= 1 for _, _, share in rows)


def test_as_is(files: list[str], digits: Any, model: Any, capsys: Capture) -> None:
    pillow = pytest.importorskip("PIL.Image")
    shifted = np.roll(digits[0], 5, 1)
    pillow.fromarray(shifted).save("shifted.png")
    shares = {}
    for arguments in ([], ["--as-is"]):
        assert cli.main(["predict", "m.keras", "shifted.png", "--quiet", *arguments]) == 0
        shares[bool(arguments)] = float(capsys.readouterr().out.split("\t")[2])
    expected = model.predict(shifted[None] / 255.0, verbose=0).max()
    assert abs(shares[True] - expected) < 1e-4
    assert shares[True] != shares[False]
    assert cli.main(["predict", "m.keras", "0.png", "--as-is"]) == 2
    error = "0.png: the image has 300x200 pixels; --as-is needs 28x28\n"
    assert capsys.readouterr().err == f"tinygrad-mnist: {error}"


def test_outputs_that_are_no_probabilities(files: list[str], model: Any, capsys: Capture) -> None:
    logits = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
    logits.add(keras.layers.Dense(4))
    logits.set_weights(model.get_weights())
    logits.save("logits.keras")
    assert cli.main(["predict", "m.keras", "0.png", "--quiet"]) == 0
    first = capsys.readouterr().out
    assert cli.main(["predict", "logits.keras", "0.png", "--quiet"]) == 0
    assert capsys.readouterr().out == first


def test_what_is_no_image(files: list[str], capsys: Capture) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pillow.new("L", (40, 40), 7).save("blank.png")
    Path("text.png").write_text("text")
    for name, message in {
        "text.png": "not an image, or of an unknown kind",
        "absent.png": "no such file",
        "blank.png": "there is no digit: all pixels are nearly equal",
    }.items():
        assert cli.main(["predict", "m.keras", "0.png", name]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err == f"tinygrad-mnist: {name}: {message}\n"
    assert cli.main(["predict", "absent.keras", "0.png"]) == 2
    assert capsys.readouterr().err == "tinygrad-mnist: absent.keras: no such file\n"


def test_drawings() -> None:
    image = np.array([[0, 255, 0, 255], [0, 0, 255, 255], [255, 0, 0, 100]], np.uint8)
    unicode = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert draw(image, unicode) == " ▀▄█\n▀  ▀"
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert draw(image, plain) == " ==@\n=  :"
