from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist.datasets import (
    DatasetError,
    Pair,
    Splits,
    expand_mnist,
    load_mnist,
    save_splits,
    shift_images,
)


def pair(count: int, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (count, 784)).astype(np.float32) / np.float32(256)
    return Pair(images, rng.integers(0, 10, count))


@pytest.mark.parametrize(
    ("axis", "step", "row", "column"), [(0, 1, 6, 9), (0, -1, 4, 9), (1, 1, 5, 10), (1, -1, 5, 8)]
)
def test_shift_moves_one_pixel(axis: int, step: int, row: int, column: int) -> None:
    image = np.zeros((1, 28, 28), np.float32)
    image[0, 5, 9] = 1
    moved = shift_images(image.reshape(1, 784), axis, step).reshape(28, 28)
    assert np.argwhere(moved).tolist() == [[row, column]]


def test_vacated_rows_are_zero_and_nothing_wraps() -> None:
    full = np.ones((1, 784), np.float32)
    down = shift_images(full, 0, 1).reshape(28, 28)
    assert not down[0].any()
    assert down[1:].all()
    left = shift_images(full, 1, -1).reshape(28, 28)
    assert not left[:, -1].any()
    assert left[:, :-1].all()


def test_expansion_holds_each_image_five_times_with_its_label() -> None:
    training = pair(6)
    images, labels = expand_mnist(training, seed=3)
    assert (images.shape, images.dtype, labels.dtype) == ((30, 784), np.float32, np.int64)
    expected = {}
    for image, label in zip(*training, strict=True):
        grid = np.pad(image.reshape(28, 28), 1)
        for row, column in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2)):
            expected[grid[row : row + 28, column : column + 28].tobytes()] = int(label)
    found = {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    assert found == expected


def test_expansion_is_shuffled_by_its_seed() -> None:
    training = pair(20)
    first, again, other = (expand_mnist(training, seed).labels for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["small.npz", "small.pkl.gz"])
def test_saved_data_come_back(tmp_path: Path, name: str) -> None:
    splits = Splits(expand_mnist(pair(4)), pair(3, 1), pair(2, 2))
    save_splits(tmp_path / name, splits)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    for got, expected in zip(load_mnist(tmp_path / name), splits, strict=True):
        np.testing.assert_array_equal(got.images, expected.images)
        np.testing.assert_array_equal(got.labels, expected.labels)
        assert (got.images.dtype, got.labels.dtype) == (np.float32, np.int64)


def test_what_can_not_be_saved_or_read(tmp_path: Path) -> None:
    splits = Splits(pair(4), pair(3), pair(2))
    with pytest.raises(DatasetError, match=r"must end in \.npz or \.pkl\.gz"):
        save_splits(tmp_path / "data.txt", splits)
    third = Pair(splits.test.images / 3, splits.test.labels)
    with pytest.raises(DatasetError, match="test part: pixels that are not byte / 256"):
        save_splits(tmp_path / "data.npz", splits._replace(test=third))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DatasetError, match="not a data set that save_splits wrote"):
        load_mnist(tmp_path / "other.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DatasetError, match="not a data set that save_splits wrote"):
        load_mnist(tmp_path / "broken.npz")
