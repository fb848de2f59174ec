"""Every example runs from its first line to its last, with one epoch on small data, not many."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tinygrad_mnist.search import search
from tinygrad_mnist.training import History
from tinygrad_mnist.tutorials import TUTORIALS

FOLDER = Path(__file__).parents[1] / "examples"
# The programs for Theano are in tests/theano/test_programs.py, those for Keras further below.
EXAMPLES = [
    path for path in sorted(FOLDER.glob("*.py")) if not path.stem.startswith(("theano_", "keras_"))
]


def run(name: str) -> None:
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")


ALONE = {"dropout", "one_epoch"}  # these have tests of their own
RUNS = {"tanh": 2, "ensemble": 3}  # of SGD; 1 in the others
PICTURES = {"one_conv": "filters.png", "tanh": "tanh.png", "ensemble": "errors.png"}


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES if path.stem not in ALONE])
def test_example(name: str, one_epoch: list[History], capsys: pytest.CaptureFixture[str]) -> None:
    run(name)
    assert len(one_epoch) == RUNS.get(name, 1)
    assert len(one_epoch[0].costs) == (25 if name == "expanded" else 5)
    assert "Finished training network." in capsys.readouterr().out
    pictures = [PICTURES[name]] if name in PICTURES and find_spec("matplotlib") else []
    assert [str(path) for path in Path().glob("*.png")] == pictures


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_how_long_it_takes(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert re.search(r"minute|second|epochs|trains for|as long as", text)


def test_an_example_goes_on_where_it_was_stopped(
    one_epoch: list[History], capsys: pytest.CaptureFixture[str]
) -> None:
    run("early_stopping")
    first = capsys.readouterr().out
    run("early_stopping")
    assert [history.epochs for history in one_epoch] == [1, 1]
    assert "Epoch 0" in first
    assert "Epoch 0" not in capsys.readouterr().out


def test_dropout_after_expanded(
    one_epoch: list[History], capsys: pytest.CaptureFixture[str]
) -> None:
    run("expanded")
    run("dropout")
    assert len(one_epoch) == 6
    assert capsys.readouterr().out.splitlines()[-1].startswith("The vote of five: ")


@pytest.mark.usefixtures("one_epoch")
def test_one_epoch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["one_epoch.py", "3"])
    run("one_epoch")
    assert re.fullmatch(
        r"\d+\.\d\d% of the test images after 1 steps in \d+\.\d\d s\n", capsys.readouterr().out
    )


# --- programs for Keras ---------------------------------------------------------------------------

KERAS = {
    "keras_mnist_convnet": [["--model", name] for name in ("convnet", "old", "dense")],
    "keras_deep_convnet": [[]],
    "keras_fashion": [[], ["--plot"]],
    "keras_codelab": [[], ["--model", "softmax", "--plot"]],
}


@pytest.fixture
def small_data(small_mnist: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_FASHION_MNIST_DATA", str(tmp_path / "small"))


def test_every_keras_program_is_tried() -> None:
    assert set(KERAS) == {path.stem for path in FOLDER.glob("keras_*.py")}


@pytest.mark.parametrize(
    ("name", "arguments"), [(name, each) for name, all_ in KERAS.items() for each in all_]
)
@pytest.mark.usefixtures("small_data")
def test_keras_program(
    name: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    few = ["--epochs", "1", "--images", "32"]
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments, *few])
    run(name)
    accuracies = re.findall(r"est accuracy\D*(\d\.\d{4})\n", capsys.readouterr().out)
    expected = {"keras_fashion": 2, "keras_codelab": 1 if arguments else 9}
    assert len(accuracies) == expected.get(name, 1)
    assert all((20 * float(text)).is_integer() for text in accuracies)  # of 20 images
    drawn = {
        "keras_fashion": {"fashion_wrong.png", "fashion_maps.png"},
        "keras_codelab": {"codelab_softmax.png"},
    }
    wanted = drawn[name] if "--plot" in arguments else set()
    assert {path.name for path in Path().glob("*.png")} == wanted


@pytest.mark.usefixtures("small_data")
def test_the_search_of_the_deep_convnet(capsys: pytest.CaptureFixture[str]) -> None:
    """One run of its objective, in this process, and what it asks of a search."""
    program = runpy.run_path(str(FOLDER / "keras_deep_convnet.py"))
    calls = []

    def instead(objective: Any, space: dict[str, Any], **options: Any) -> str:
        calls.append((objective, space, options))
        return "results"

    program["search_settings"].__globals__["search"] = instead
    program["search_settings"](3, 1, 20)
    assert capsys.readouterr().out == "results\n"
    ((objective, space, options),) = calls
    assert options["runs"] == 3
    assert sorted(space) == ["batch_size", "epochs", "filters", "images", "rate"]
    with ThreadPoolExecutor(1) as executor:
        small = {**space, "filters": 1, "batch_size": 10}
        run = search(objective, small, executor, runs=1).best
    assert 0 <= run.values["val_accuracy"] <= 1


def test_the_programs_have_the_named_models() -> None:
    """`tinygrad_mnist.tutorials` has the same nets, with the same training."""
    programs = {name: runpy.run_path(str(FOLDER / f"{name}.py")) for name in KERAS}
    convnets, fashion = programs["keras_mnist_convnet"], programs["keras_fashion"]
    made = {
        "convnet": convnets["convnet"](),
        "convnet-old": convnets["old"](),
        "convnet-dense": convnets["dense"](),
        "deep": programs["keras_deep_convnet"]["deep_convnet"](),
        "fashion-dense": fashion["dense"](),
        "fashion": fashion["convolutions"](),
    }
    codelab = programs["keras_codelab"]
    names = {"conv": "strided", "conv_dropout": "strided-dropout", "decay": "relu-decay"}
    names["dropout"] = "relu-dropout"
    for name, (_, optimizer, batch_size, rate) in codelab["STEPS"].items():
        named = names.get(name, name.replace("_", "-"))
        made[named] = codelab["make"](name)
        tutorial = TUTORIALS[named]
        assert (tutorial.optimizer, tutorial.batch_size) == (optimizer, batch_size)
        for epoch in range(3):
            rates = [None if each is None else each(epoch) for each in (rate, tutorial.rate_of)]
            assert rates[0] == rates[1]
    assert set(made) == set(TUTORIALS)
    for name, model in made.items():
        other = TUTORIALS[name].model()
        assert layers_of(model) == layers_of(other), name
        assert [w.shape for w in model.get_weights()] == [w.shape for w in other.get_weights()]


def layers_of(model: Any) -> list[tuple[str, dict[str, Any]]]:
    """The kinds of layers and their arguments, but not their names and how images get a shape."""
    shapes = ("Reshape", "Flatten")
    kept = [layer for layer in model.layers if type(layer).__name__ not in shapes]
    described = []
    for layer in kept:
        arguments = layer.get_config()
        for left_out in ("name", "input_shape", "batch_input_shape"):
            arguments.pop(left_out, None)
        described.append((type(layer).__name__, arguments))
    return described
