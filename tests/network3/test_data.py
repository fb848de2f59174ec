"""Data as shared variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_mnist import small_arrays, write_idx_folder

from tinygrad_mnist import network3
from tinygrad_mnist.datasets import load_digits, sources
from tinygrad_mnist.functions import function
from tinygrad_mnist.network3 import (
    load_data_shared,
)


def test_load_data_shared(tmp_path: Path, each_float: str) -> None:
    files = small_arrays()
    write_idx_folder(tmp_path, files)
    data = load_data_shared(tmp_path)
    assert [network3.size(pair) for pair in data] == [50, 10, 20]
    x, y = data[0]
    assert (x.get_value().dtype, x.get_value().shape) == (each_float, (50, 784))
    assert y.dtype == "int32"
    pixels = files["train-images-idx3-ubyte"].reshape(60, 784)[:50]
    np.testing.assert_array_equal(x.get_value() * 256, pixels)
    labels = function([], y)()
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, files["train-labels-idx1-ubyte"][:50])


@pytest.mark.parametrize("name", [[], [None], ["../data/mnist.pkl.gz"]])
def test_without_a_name_the_data_are_searched_for(
    name: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_idx_folder(tmp_path / "mnist", small_arrays())
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(tmp_path / "mnist"))
    sizes = [network3.size(pair) for pair in network3.load_data_shared(*name)]
    assert len(sizes) == 3
    assert min(sizes) > 0


def test_generated_digits_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_digits(0, training=30, validation=20, test=10)
    monkeypatch.setattr(sources, "load_digits", lambda: small)
    data = network3.load_data_shared("digits")
    assert [network3.size(pair) for pair in data] == [30, 20, 10]
    np.testing.assert_array_equal(data[0][0].get_value(), small.training.images)
    np.testing.assert_array_equal(function([], data[2][1])(), small.test.labels)
