"""Data sets as Keras returns them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.mnist_layouts import Original, original, table, write_four

from tinygrad_mnist.datasets import DatasetError, DatasetNotFoundError, load_digits, save_splits
from tinygrad_mnist.datasets.download import FASHION_MNIST, verify_cache
from tinygrad_mnist.keras.datasets import digits, fashion_mnist, mnist

DATA = original(24, 8)


def check(loaded: Any, data: Original) -> None:
    (x_train, y_train), (x_test, y_test) = loaded
    for got, expected in zip((x_train, y_train, x_test, y_test), data, strict=True):
        assert got.dtype == np.uint8
        assert got.flags.c_contiguous
        assert got.flags.writeable
        np.testing.assert_array_equal(got, expected)


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("KERAS_HOME", raising=False)
    return tmp_path


MODULES = [(mnist, "TINYGRAD_MNIST_DATA"), (fashion_mnist, "TINYGRAD_FASHION_MNIST_DATA")]


@pytest.mark.parametrize(("module", "variable"), MODULES)
@pytest.mark.parametrize("layout", ["idx", "npz", "csv", "emnist"])
def test_any_layout(
    module: Any, variable: str, layout: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = work / "given"
    folder.mkdir()
    if layout == "idx":
        path = write_four(folder, DATA)
    elif layout == "npz":
        path = folder / "small.npz"
        np.savez(path, x_train=DATA[0], y_train=DATA[1], x_test=DATA[2], y_test=DATA[3])
    elif layout == "csv":
        path = folder / "train.csv"
        path.write_text(table(DATA.images, DATA.labels))
        (folder / "test.csv").write_text(table(DATA.test_images, DATA.test_labels))
    else:
        turned = Original(*(a.transpose(0, 2, 1) if a.ndim == 3 else a for a in DATA))
        path = write_four(folder, turned, "emnist-digits-{part}-{kind}-idx{n}-ubyte", test="test")
    check(module.load_data(path), DATA)
    check(module.load_data(path=str(path)), DATA)
    check(module.load_data(path.relative_to(work)), DATA)
    monkeypatch.setenv(variable, str(path))
    check(module.load_data(), DATA)


def test_the_order_of_the_files_is_kept(work: Path) -> None:
    """The validation part of `load_mnist` is the end of the training part."""
    data = original(61, 3)
    save_splits(work / "small.npz", load_digits(0, 50, 11, 3))
    (x_train, y_train), (x_test, _) = mnist.load_data("small.npz")
    training, validation, test = load_digits(0, 50, 11, 3)
    images = np.concatenate([training.images, validation.images])
    np.testing.assert_array_equal(x_train.reshape(61, 784), images * 256)
    np.testing.assert_array_equal(y_train[50:], validation.labels)
    np.testing.assert_array_equal(x_test.reshape(3, 784), test.images * 256)
    check(mnist.load_data(write_four(work / "idx", data)), data)


@pytest.mark.parametrize("variable", [False, True])
def test_the_files_of_keras(work: Path, variable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/.keras/datasets, or the folder that $KERAS_HOME names, has what Keras has downloaded."""
    home = work / "elsewhere" if variable else work / "home" / ".keras"
    if variable:
        monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setenv(
        "TINYGRAD_MNIST_DATA", str(write_four(work / "other", original(24, 8, seed=3)))
    )
    (home / "datasets").mkdir(parents=True)
    np.savez(
        home / "datasets" / "mnist.npz",
        x_train=DATA[0], y_train=DATA[1], x_test=DATA[2], y_test=DATA[3],
    )  # fmt: skip
    write_four(home / "datasets" / "fashion-mnist", DATA, packing=".gz")
    check(mnist.load_data(), DATA)
    check(mnist.load_data(path="mnist.npz"), DATA)
    check(fashion_mnist.load_data(), DATA)


def test_a_path_without_data_is_said(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(write_four(work / "set", DATA)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(mnist.load_data(path="mnist.npz"), DATA)
    with pytest.warns(UserWarning, match=r"^typo\.npz: no such file or folder, here or in"):
        check(mnist.load_data("typo.npz"), DATA)
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(work / "absent"))
    with pytest.raises(DatasetNotFoundError, match="absent: no such file or folder"):
        mnist.load_data()
    with pytest.raises(TypeError, match="a file's name is text or a path"):
        mnist.load_data(5)  # type: ignore[arg-type]


def test_pixels_that_are_no_bytes(work: Path) -> None:
    splits = load_digits(0, 5, 2, 2)
    third = splits._replace(test=splits.test._replace(images=splits.test.images / 3))
    save_splits(work / "data.pkl.gz", third)
    with pytest.raises(DatasetError, match="test part: pixels that are not byte / 256"):
        mnist.load_data("data.pkl.gz")


def test_generated_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = load_digits(3, 20, 5, 5)
    monkeypatch.setattr(digits, "load_digits", lambda seed: load_digits(seed, 20, 5, 5))
    (x_train, y_train), (x_test, y_test) = digits.load_data(seed=3)
    assert (x_train.shape, y_train.shape) == ((25, 28, 28), (25,))
    assert (x_train.dtype, y_train.dtype, y_test.dtype) == (np.uint8,) * 3
    np.testing.assert_array_equal(x_train[:20].reshape(20, 784), splits.training.images * 256)
    np.testing.assert_array_equal(x_test.reshape(5, 784), splits.test.images * 256)


def test_real_mnist(mnist_path: Path) -> None:
    (x_train, y_train), (x_test, y_test) = mnist.load_data(mnist_path)
    assert (x_train.shape, x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert x_test.mean() / 255 == pytest.approx(0.13251460, abs=1e-7)


def test_real_fashion_mnist(fashion_mnist_path: Path) -> None:
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data(fashion_mnist_path)
    assert np.bincount(y_train).tolist() == [6000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    assert y_train[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert x_train.mean() / 255 == pytest.approx(0.28604060, abs=1e-7)
    assert x_test.std() / 255 == pytest.approx(0.35244415, abs=1e-7)
    if fashion_mnist_path.is_dir():
        assert verify_cache(FASHION_MNIST, fashion_mnist_path) is None
