"""The book's programs, unchanged: with its own network3.py beside them, and without."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist.datasets import load_mnist, mnist_loader

BOOK = Path(__file__).parent / "book"


def run(program: str) -> list[str]:
    """The standard output of a program, line by line; its folder is the present one."""
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_mnist.theano", program],
        env={**os.environ, "THEANORC": "", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("small_mnist")
def test_a_program_with_its_own_network3(tmp_path: Path) -> None:
    for file in BOOK.glob("*.py"):
        shutil.copy(file, tmp_path / "src")
    lines = run("train.py")
    assert lines[0] == "On a GPU, if there is one."
    assert lines[1:31] == [f"Epoch {epoch} True" for epoch in range(30)]
    assert lines[31] == "costs fall: True float32"
    assert lines[32] == f"{tmp_path}/src/network3.py [50, 10, 20]"


@pytest.mark.usefixtures("small_mnist")
def test_the_same_program_with_this_network3(tmp_path: Path) -> None:
    shutil.copy(BOOK / "train.py", tmp_path / "src")
    lines = run("train.py")
    network3 = import_module("tinygrad_mnist.network3")
    assert lines[0] == "Training mini-batch number 0"
    assert lines[-1] == f"{network3.__file__} [50, 10, 20]"


@pytest.mark.usefixtures("small_mnist")
def test_the_loader_of_the_book() -> None:
    splits = load_mnist()
    training, validation, test = mnist_loader.load_data_wrapper()
    for data, (images, labels) in zip((training, validation, test), splits, strict=True):
        assert len(data) == len(images)
        for (x, _), image in zip(data, images, strict=True):
            np.testing.assert_array_equal(x, image.reshape(784, 1))
        if data is training:
            wanted: list[Any] = [np.eye(10)[label].reshape(10, 1) for label in labels]
        else:
            wanted = list(labels)
        for (_, y), expected in zip(data, wanted, strict=True):
            np.testing.assert_array_equal(y, expected)
    for loaded, split in zip(mnist_loader.load_data(), splits, strict=True):
        np.testing.assert_array_equal(loaded[0], split[0])


@pytest.mark.usefixtures("small_mnist", "drop_in")
def test_the_book_s_file_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gzip: Any = import_module("gzip")
    monkeypatch.setattr(gzip, "open", gzip.open)  # put back after the test
    import_module("tinygrad_mnist.theano.bookdata").offer_book_data()
    with gzip.open("../data/mnist.pkl.gz", "rb") as file:
        found = pickle.load(file, encoding="latin1")
    for part, split in zip(found, load_mnist(), strict=True):
        assert [a.dtype for a in part] == ["float32", "int64"]
        np.testing.assert_array_equal(part[0], split[0])
        np.testing.assert_array_equal(part[1], split[1])
    with pytest.raises(FileNotFoundError):
        gzip.open("../data/other.pkl.gz", "rb")
    own = tmp_path / "data" / "mnist.pkl.gz"
    with gzip.open("../data/mnist.pkl.gz", "wb") as file:
        file.write(b"mine")
    assert own.exists()
    with gzip.open("../data/mnist.pkl.gz") as file:
        assert file.read() == b"mine"
