"""Wrong labels and pixels are refused where data enter and where they are written."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist.datasets import (
    DatasetError,
    draw_digits,
    expand_mnist,
    load_digits,
    load_mnist,
    read_idx_folder,
    read_pickle,
    save_splits,
    shift_images,
)
from tinygrad_mnist.network3 import load_data_shared

IMAGES = (np.arange(6 * 784) % 256).reshape(6, 784).astype("float32") / np.float32(256)
LABELS = np.arange(6)

WRONG_LABELS: list[tuple[Any, str]] = [
    (np.array([0, 1, 300, 3, 4, 5]), "label 300 at index 2 is not in 0..9"),
    (np.array([0, 1, 2, -1, 4, 5]), "label -1 at index 3 is not in 0..9"),
    (np.array([0, 1, 2, 3, 4, 266], "uint16"), "label 266 at index 5 is not in 0..9"),
    (np.array([0, 1, 2, 3, 4, 2**40]), "at index 5 is not in 0..9"),
    (np.array([0, 1, 2, 3, 4.5, 5]), "label 4.5 at index 4 is not an integer"),
    (np.array([np.nan, 1, 2, 3, 4, 5]), "label nan at index 0 is not an integer"),
    (np.ma.masked_array(LABELS, LABELS > 3), "labels is a masked array"),
    (np.arange(5), "images are (6, 784), labels (5,)"),
    (["a"] * 6, "labels is"),
    (None, "labels is None"),
]


def pixels(value: float) -> Any:
    images = IMAGES.copy()
    images[4, 7] = value
    return images


WRONG_IMAGES: list[tuple[Any, str]] = [
    (pixels(np.nan), "image 4 has a pixel that is nan"),
    (pixels(-np.inf), "image 4 has a pixel that is -inf"),
    (np.ma.masked_array(IMAGES, IMAGES > 0.5), "images is a masked array"),
    (IMAGES[0], "images are (784,), labels (6,)"),
    (None, "images is None"),
]


@pytest.mark.parametrize("suffix", [".npz", ".pkl.gz"])
@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [(IMAGES, labels, m) for labels, m in WRONG_LABELS]
    + [(images, LABELS, m) for images, m in WRONG_IMAGES],
)
def test_nothing_wrong_is_written(
    images: Any, labels: Any, message: str, part: int, suffix: str, tmp_path: Path
) -> None:
    target = tmp_path / f"data{suffix}"
    splits: Any = [(IMAGES, LABELS)] * 3
    splits[part] = (images, labels)
    name = ("training", "validation", "test")[part]
    with pytest.raises(DatasetError) as caught:
        save_splits(target, splits)
    assert f"{name} part: " in str(caught.value)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npz", ".pkl.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32"])
def test_right_labels_of_any_dtype_come_back(dtype: str, suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"data{suffix}"
    splits: Any = [(IMAGES, LABELS.astype(dtype))] * 3
    save_splits(target, splits)
    for images, labels in load_mnist(target):
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(labels, LABELS)
        assert labels.dtype == "int64"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pickles_with_wrong_pixels(value: float, tmp_path: Path) -> None:
    path = tmp_path / "mnist.pkl"
    parts = ((IMAGES, LABELS), (pixels(value), LABELS), (IMAGES, LABELS))
    path.write_bytes(pickle.dumps(parts, protocol=4))
    with pytest.raises(DatasetError, match=f"validation part: image 4 .* is {value}"):
        load_mnist(path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0.5] * 6), "label 0.5 at index 0 is not an integer"),
        (np.array([[1] * 6]), "images are not bytes|labels are not integers"),
        (np.array(["1"] * 6), r"labels are not integers \(n,\)"),
    ],
)
def test_npz_with_wrong_labels(labels: Any, message: str, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {}
    for name in ("training", "validation", "test"):
        arrays[f"{name}_images"] = np.zeros((6, 784), "uint8")
        arrays[f"{name}_labels"] = labels if name == "test" else LABELS
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(DatasetError, match=message):
        load_mnist(tmp_path / "data.npz")


@pytest.mark.parametrize(("labels", "message"), WRONG_LABELS[:6])
def test_expansion_refuses_wrong_labels(labels: Any, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        expand_mnist((IMAGES, labels))
    assert message in str(caught.value)


def test_shifts_are_checked() -> None:
    for axis, step in ((2, 1), (0, 0), (1, 2), ("x", 1)):
        with pytest.raises(ValueError, match="axis is 0 or 1, step 1 or -1"):
            shift_images(IMAGES, axis, step)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [5, {}, object(), ["a"]])
@pytest.mark.parametrize("function", [load_mnist, read_pickle, read_idx_folder, load_data_shared])
def test_what_is_no_name_of_a_file(function: Callable[[Any], Any], name: Any) -> None:
    with pytest.raises(TypeError, match="a file's name is text or a path, not"):
        function(name)
    with pytest.raises(TypeError, match="a file's name is text or a path, not"):
        save_splits(name, [(IMAGES, LABELS)] * 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, "a", 1.5, {}, object()])
def test_digits_of_wrong_numbers(wrong: Any) -> None:
    for make in (draw_digits, lambda n: load_digits(1, n, 1, 1)):
        with pytest.raises(TypeError, match=r"count is .*; it must be an integer"):
            make(wrong)
    for make in (lambda seed: draw_digits(1, seed), load_digits):
        with pytest.raises(TypeError, match=r"seed is .*; it must be an integer"):
            make(wrong)
