from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.small_mnist import small_arrays, write_idx_folder

from tinygrad_mnist import cli, keras
from tinygrad_mnist.tutorials import TUTORIALS, tutorial_net

LAST_LINE = re.compile(r"\d{1,3}\.\d\d %")
Capture = pytest.CaptureFixture[str]

PROGRAM = """
import keras_parts
from tinygrad_mnist import keras
from tinygrad_mnist.keras import layers

net = keras.Sequential([layers.Flatten(), keras_parts.hidden(), layers.Dense(10)])

def make(units=4):
    model = keras.Sequential([layers.Input((784,)), layers.Dense(units), layers.Dense(10)])
    model.add(layers.Activation("softmax"))
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model

def fails():
    return keras_parts.fails()

def needs(units, *, rate):
    return make(units)

number = 3
few = keras.Sequential([layers.Flatten(), layers.Dense(3)])
image = keras.Sequential([layers.Conv2D(2, 3, padding="same")])
large = keras.Sequential([layers.Input((32, 32, 3)), layers.Flatten(), layers.Dense(10)])
"""
PARTS = """
from tinygrad_mnist.keras import layers

def hidden():
    return layers.Dense(5, activation="relu")

def fails():
    raise ValueError("two\\nlines")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with small data and programs."""
    write_idx_folder(tmp_path / "small", small_arrays(training=60, test=20))
    for variable in ("TINYGRAD_MNIST_DATA", "TINYGRAD_FASHION_MNIST_DATA"):
        monkeypatch.setenv(variable, str(tmp_path / "small"))
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "keras_parts.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("keras_parts", None)


def train(model: str, *arguments: str) -> int:
    return cli.main(["train", "--model", model, "--epochs", "1", *arguments])


def accuracy(capsys: Capture) -> str:
    """The last line; the share is of 20 images."""
    last = capsys.readouterr().out.splitlines()[-1]
    assert LAST_LINE.fullmatch(last)
    assert float(last.removesuffix(" %")) % 5 == 0
    return last


@pytest.mark.parametrize("name", ["softmax", "fashion-dense", "convnet", "relu-decay"])
def test_train_a_tutorials_model(name: str, folder: Path, capsys: Capture) -> None:
    assert train(name) == 0
    out, err = capsys.readouterr()
    assert LAST_LINE.fullmatch(out.splitlines()[-1])
    tutorial = TUTORIALS[name]
    parameters = f"{tutorial_net(name).count_params():,}"
    first = f"{name}: {parameters} parameters; 60 training images, 1 epochs, batch size"
    assert err.startswith(f"{first} {tutorial.batch_size}, ")
    assert ("learning_rate: 0.0100" in out) == (name == "relu-decay")
    assert "accuracy" in out


@pytest.mark.parametrize("text", ["program.py:net", "program.py:make"])
def test_train_save_and_use_a_programs_model(text: str, folder: Path, capsys: Capture) -> None:
    assert train(text, "--quiet", "--save", "saved.keras", "--dataset", "mnist") == 0
    out, err = capsys.readouterr()
    assert LAST_LINE.fullmatch(out.strip())
    assert err == ""
    assert cli.main(["evaluate", "saved.keras", "--quiet"]) == 0
    assert capsys.readouterr().out == out
    assert cli.main(["evaluate", "--model", "saved.keras"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["class", "images", "right", "taken", "for"]
    assert sum(int(line.split()[1]) for line in table[1:-1]) == 20
    assert table[-1] == out.strip()
    assert train("saved.keras", "--quiet") == 0  # goes on
    accuracy(capsys)


def test_the_seed_makes_the_same_weights(folder: Path, capsys: Capture) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train("program.py:make", "--quiet", "--seed", seed, "--save", name) == 0
    a, b, c = (keras.models.load_model(name).get_weights() for name in "abc")
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a[0], c[0])


def test_options_reach_fit(folder: Path, capsys: Capture) -> None:
    arguments = ["--batch-size", "7", "--optimizer", "rmsprop", "--rate", "0.125"]
    assert train("program.py:make", *arguments, "--validation-split", "0.1", "--save", "m") == 0
    out, err = capsys.readouterr()
    assert "batch size 7, RMSprop 0.125, seed 1\n" in err
    assert "saved: m\n" in err
    assert "8/8" in out  # 54 images in batches of 7
    assert "val_accuracy" in out
    model = keras.models.load_model("m")
    assert float(model.optimizer.learning_rate) == 0.125
    assert model.loss == "categorical_crossentropy"
    assert train("relu-decay", "--rate", "0.125") == 0  # no schedule
    out, err = capsys.readouterr()
    assert "Adam 0.125" in err
    assert "learning_rate" not in out


def test_pictures(folder: Path, capsys: Capture) -> None:
    pytest.importorskip("matplotlib")
    assert train("program.py:net", "--quiet", "--plot", "curves.png") == 0
    assert cli.main(["evaluate", "program.py:net", "--quiet", "--plot", "matrix.svg"]) == 0
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in Path("matrix.svg").read_text()


@pytest.mark.parametrize("text", ["deep", "program.py:net", "program.py:make"])
def test_summary(text: str, folder: Path, capsys: Capture) -> None:
    assert cli.main(["summary", text]) == 0
    out = capsys.readouterr().out
    total = {"deep": "3,113,930", "program.py:net": "3,985", "program.py:make": "3,190"}[text]
    assert f"Total params: {total}" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("absent.py:net", "absent.py: no such file"),
        ("absent.keras", "absent.keras: no such file"),
        ("absent", "absent: no such file, and no model of that name (convnet, "),
        ("program.py:absent", "program.py: there is no 'absent' in it; it has net, "),
        ("program.py", "program.py: name the model too, such as program.py:net"),
        ("program.py:fails", "program.py:15: ValueError: two lines"),
        ("program.py:needs", "program.py:needs needs the arguments units, rate"),
        ("program.py:number", "program.py:number is 3, no Sequential"),
        ("program.py:few", "program.py:few has 3 outputs; there are labels up to "),
        ("program.py:image", "program.py:image has outputs of shape (None, 28, 28, 2), not one"),
        ("program.py:large", "program.py:large takes inputs of shape (32, 32, 3); the images"),
        ("broken.py:net", "broken.py:3: SyntaxError: "),
        ("raises.py:net", "raises.py:2: ZeroDivisionError: division by zero"),
        ("exits.py:net", "exits.py:1: SystemExit: 4"),
        ("keras_parts.py", "keras_parts.py: name the model too, such as keras_parts.py:hidden"),
        ("small/t10k-images-idx3-ubyte.gz", "small/t10k-images-idx3-ubyte.gz "),
    ],
)
@pytest.mark.parametrize("command", [["train", "--model"], ["evaluate"], ["summary"]])
def test_models_that_cannot_be_used(
    command: list[str], text: str, message: str, folder: Path, capsys: Capture
) -> None:
    (folder / "broken.py").write_text("x = 1\n\nnet = (\n")
    (folder / "raises.py").write_text("def f():\n    return 1 / 0\nf()\n")
    (folder / "exits.py").write_text("raise SystemExit(4)\n")
    needs_data = any(word in text for word in ("few", "image", "large")) and ".py" in text
    if command == ["summary"] and needs_data:
        assert cli.main([*command, text]) == 0
        return
    assert cli.main([*command, text]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"tinygrad-mnist: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--net", "fc", "--model", "softmax"], "--net and --model exclude each other"),
        (["--net", "fc", "--save", "x"], "--save needs --model"),
        (["--batch-size", "3"], "--batch-size needs --model"),
        (["--net", "fc", "--rate", "0.1"], "--rate 0.1 needs --model; here it can be auto"),
        (["--model", "softmax", "--rate", "book"], "--rate book is for --net; with --model"),
        (["--model", "softmax", "--rate", "0"], "invalid choice: '0'"),
        (["--model", "softmax", "--optimizer", "best"], "--optimizer: there is no optimizer 'bes"),
        (["--model", "softmax", "--validation-split", "1"], "'1' is not a number from 0 to below"),
        (["--model", "softmax", "--save", "no/x"], "--save no/x: there is no such folder"),
        (["--model", "softmax", "--plot", "x.txt"], "--plot: path is 'x.txt'; pictures end in"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, folder: Path, capsys: Capture) -> None:
    assert cli.main(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize("models", [[], ["softmax", "--model", "softmax"]])
def test_evaluate_takes_one_model(models: list[str], capsys: Capture) -> None:
    assert cli.main(["evaluate", *models]) == 2
    assert "evaluate takes one model" in capsys.readouterr().err


def test_a_data_set_that_is_missing(folder: Path, capsys: Capture) -> None:
    assert train("softmax", "--dataset", "absent") == 1
    assert capsys.readouterr().err == "tinygrad-mnist: absent: no such file or folder\n"


def test_a_loss_that_does_not_fit(folder: Path, capsys: Capture) -> None:
    """What only `fit` finds out is one line, too."""
    (folder / "custom.py").write_text(
        "from tinygrad_mnist import keras\n"
        "net = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])\n"
        "net.compile('adam', lambda y, pred: pred[:, :, None] + y)\n"
    )
    assert train("custom.py:net") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("tinygrad-mnist: custom.py:net: ")
