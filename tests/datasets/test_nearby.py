"""A search in ./data/ and ./: what is taken, what is not, and what is said of it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.mnist_layouts import check, original, table, write_four

from tinygrad_mnist import cli
from tinygrad_mnist.datasets import (
    DatasetError,
    DatasetNotFoundError,
    load_data,
    load_digits,
    load_mnist,
    locate,
    save_splits,
    sources,
)

DATA = original(24, 8)
OTHER = original(24, 8, seed=1)
KERAS = ("x_train", "y_train", "x_test", "y_test")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: empty, without data anywhere in reach, and without a network."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for variable in ("TINYGRAD_MNIST_DATA", "TINYGRAD_FASHION_MNIST_DATA"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "cache"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("MNIST", "FASHION_MNIST"):
        offline = replace(getattr(sources, name), mirrors=("http://127.0.0.1:9/",))
        monkeypatch.setattr(sources, name, offline)
    return folder


@pytest.mark.parametrize("place", ["data", "."])
@pytest.mark.parametrize("nested", ["", "MNIST/raw", "mnist", "MNIST_data", "raw"])
@pytest.mark.parametrize("layout", ["idx", "dots", "keras", "csv"])
def test_what_is_taken(place: str, nested: str, layout: str) -> None:
    folder = Path(place, nested)
    folder.mkdir(parents=True, exist_ok=True)
    if layout in ("idx", "dots"):
        names = "{part}-{kind}-idx{n}-ubyte" if layout == "idx" else "{part}-{kind}.idx{n}-ubyte"
        write_four(folder, DATA, names, ".gz")
    elif layout == "keras":
        np.savez(folder / "mnist.npz", **dict(zip(KERAS, DATA, strict=True)))
    else:
        (folder / "mnist_train.csv").write_text(table(DATA.images, DATA.labels))
        (folder / "mnist_test.csv").write_text(table(DATA.test_images, DATA.test_labels))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(load_mnist(), DATA)
    assert locate(fetch=False).place == ("./data/" if place == "data" else "./")


def test_data_comes_before_the_working_folder_and_the_variable_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_four(Path(), OTHER)
    check(load_mnist(), OTHER)
    write_four(Path("data"), DATA)
    check(load_mnist(), DATA)
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(write_four(tmp_path / "mine", OTHER)))
    check(load_mnist(), OTHER)


SEEN = {
    "fashion": ("data/FashionMNIST/raw", "another data set"),
    "kmnist": ("data/KMNIST/raw", "another data set"),
    "titanic": ("data/train.csv", "a CSV file of something else: 3 columns (a, b, c)"),
    "titanic here": ("train.csv", "a CSV file of something else: 3 columns (a, b, c)"),
    "page": ("data/mnist.html", "a web page (HTML)"),
    "letters": ("data/emnist-letters", "another data set"),
    "signs": ("sign_mnist_train.csv", "another data set"),
    "archive here": ("mnist.tar", "a tar archive"),
    "picture": ("data/digit.png", "a PNG image"),
}


def put(kind: str) -> None:
    path = Path(SEEN[kind][0])
    path.parent.mkdir(exist_ok=True, parents=True)
    if kind in ("fashion", "kmnist"):
        write_four(path, OTHER)
    elif kind == "letters":
        write_four(path.parent, OTHER, "emnist-letters-{part}-{kind}-idx{n}-ubyte", test="test")
    elif kind == "signs":
        path.write_text(table(OTHER.images, OTHER.labels))
    else:
        contents = {".csv": b"a,b,c\n1,2,3\n", ".html": b"<html>", ".png": b"\x89PNG"}
        path.write_bytes(contents.get(path.suffix, bytes(257) + b"ustar" + bytes(250)))


@pytest.mark.parametrize("kind", SEEN)
def test_what_is_seen_and_not_taken_is_said(kind: str) -> None:
    put(kind)
    name, words = SEEN[kind]
    with pytest.raises(DatasetNotFoundError) as e:
        load_mnist()
    (line,) = (line for line in str(e.value).splitlines() if "seen and not taken" in line)
    assert line.startswith("  ./data/: " if name.startswith("data/") else "  ./: ")
    assert str(Path(name)) in line
    assert words in line
    assert e.value.nowhere
    write_four(Path("mnist"), DATA)
    check(load_mnist(), DATA)


@pytest.mark.parametrize("kind", [kind for kind in SEEN if SEEN[kind][0].startswith("data/")])
def test_info_says_it_too(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(kind)
    write_four(Path("mnist"), DATA)
    assert cli.main(["info"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("data            mnist")
    assert SEEN[kind][1] in last


@pytest.mark.parametrize("missing", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("place", ["data", "."])
def test_an_incomplete_set_is_a_fault(
    missing: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (write_four(Path(place), DATA) / missing).unlink()
    with (
        pytest.warns(UserWarning, match=f"no file {missing}"),
        pytest.raises(DatasetNotFoundError, match=f"no file {missing}") as e,
    ):
        load_mnist()
    assert not e.value.nowhere
    with pytest.warns(UserWarning, match=f"no file {missing}"):
        assert cli.main(["train", "--net", "fc"]) == 1
    assert "generated digits instead" not in capsys.readouterr().err


def test_damaged_data_nearby_are_an_error(work: Path) -> None:
    write_four(Path("data"), DATA, packing=".gz")
    path = Path("data", "t10k-images-idx3-ubyte.gz")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DatasetError, match="truncated or damaged") as e:
        load_mnist()
    assert "../data/mnist.pkl.gz (the book's place): no such file" in str(e.value)
    write_four(Path("data"), DATA)
    with pytest.warns(UserWarning, match=r"t10k-images.*is used instead"):
        check(load_mnist(), DATA)


def test_arrays_of_any_name_are_not_taken_for_mnist() -> None:
    np.savez("results.npz", **dict(zip(KERAS, OTHER, strict=True)))
    with pytest.raises(DatasetNotFoundError, match=r"results\.npz: another data set"):
        load_mnist()
    check(load_mnist("results.npz"), OTHER)


@pytest.mark.parametrize(
    "name",
    ["train_labels.npy", "test_images.png", "train_images.tar", "mnist_net.pkl", "mnist.npz",
     "train", "mnist_expanded.npz", "test_labels.bin"],
)  # fmt: skip
def test_files_of_other_projects_are_no_faults(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is warned of, and they are not read."""
    if name == "mnist_expanded.npz":
        save_splits(name, load_digits(0, 10, 2, 2))
    elif name.endswith(".npz"):
        np.savez(name, weights=np.zeros(3))
    elif name == "train":
        write_four(Path(name), OTHER)
    else:
        Path(name).write_bytes(b"something else")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DatasetNotFoundError) as e:
            load_mnist()
    assert e.value.nowhere


FASHION_FOLDERS = [
    "fashion-mnist",
    "FashionMNIST/raw",
    "data/fashion-mnist",
    "data/FashionMNIST/raw",
    "data/fashion",
]


@pytest.mark.parametrize("folder", FASHION_FOLDERS)
def test_fashion_mnist_by_name(folder: str) -> None:
    write_four(Path("data", "MNIST", "raw"), OTHER)
    write_four(Path(), OTHER)
    with pytest.raises(DatasetNotFoundError, match="Fashion-MNIST was found at none of these") as e:
        load_data("fashion-mnist")
    assert "$TINYGRAD_FASHION_MNIST_DATA: not set" in str(e.value)
    assert "another data set" in str(e.value)
    write_four(Path(folder), DATA, packing=".gz")
    check(load_data("fashion-mnist"), DATA)
    check(load_mnist(), OTHER)


def test_mnist_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetNotFoundError, match="MNIST was found at none of these"):
        load_data("mnist")
    write_four(Path("data", "FashionMNIST", "raw"), OTHER)
    write_four(Path("data", "MNIST", "raw"), DATA)
    check(load_data("mnist"), DATA)
    check(load_mnist("mnist"), DATA)
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(write_four(tmp_path / "other", OTHER)))
    check(load_data("mnist"), OTHER)
    write_four(Path("mnist"), DATA)  # a folder of that name comes first
    check(load_data("mnist"), DATA)


def test_training_with_mnist_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--net", "fc", "--epochs", "1", "--quiet", "--data", "mnist"]
    assert cli.main(arguments) == 1
    assert "MNIST was found at none of these places" in capsys.readouterr().err
    write_four(Path("MNIST", "raw"), original(120, 40))
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.endswith(" %\n")
    assert cli.main(["info", "--data", "mnist"]) == 0
    assert "MNIST/raw/train-images-idx3-ubyte (./)" in capsys.readouterr().out


def test_fashion_mnist_in_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_four(tmp_path / "clothes", DATA)
    monkeypatch.setenv("TINYGRAD_FASHION_MNIST_DATA", str(folder))
    check(load_mnist("fashion-mnist"), DATA)
    monkeypatch.setenv("TINYGRAD_FASHION_MNIST_DATA", str(tmp_path / "typo"))
    with pytest.raises(DatasetNotFoundError, match="typo: no such file or folder"):
        load_mnist("fashion-mnist")


def test_fashion_mnist_is_never_replaced_by_digits(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["train", "--net", "fc"], ["profile", "--net", "fc"]):
        assert cli.main([*command, "--data", "fashion-mnist"]) == 1
        err = capsys.readouterr().err
        assert "Fashion-MNIST was found at none of these places" in err
        assert "generated digits instead" not in err


def test_training_with_fashion_mnist(capsys: pytest.CaptureFixture[str]) -> None:
    write_four(Path("FashionMNIST", "raw"), original(120, 40))
    arguments = ["train", "--net", "fc", "--epochs", "1", "--quiet", "--data", "fashion-mnist"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.endswith(" %\n")
