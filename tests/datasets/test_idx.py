from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from helpers.small_mnist import idx_bytes, small_arrays, write_idx_folder

from tinygrad_mnist.datasets import DatasetError, DatasetNotFoundError, load_mnist, read_idx_folder


@pytest.mark.parametrize("packed", [True, False])
def test_folder_gives_the_three_parts_in_file_order(tmp_path: Path, packed: bool) -> None:
    arrays = small_arrays(training=61, test=20)
    write_idx_folder(tmp_path, arrays, packed)
    training, validation, test = load_mnist(tmp_path)
    assert [len(part.labels) for part in (training, validation, test)] == [51, 10, 20]
    both = np.concatenate([training.images, validation.images])
    np.testing.assert_array_equal(both * 256, arrays["train-images-idx3-ubyte"].reshape(61, 784))
    labels = np.concatenate([training.labels, validation.labels])
    np.testing.assert_array_equal(labels, arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(test.labels, arrays["t10k-labels-idx1-ubyte"])
    for part in (training, validation, test):
        assert (part.images.dtype, part.labels.dtype) == (np.float32, np.int64)
        assert part.images.shape == (len(part.labels), 784)


def test_the_other_spelling_of_the_names(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, small_arrays(), packed=False)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert load_mnist(tmp_path).test.images.shape == (20, 784)


def test_missing_files_are_named(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, small_arrays())
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no file t10k-labels-idx1-ubyte \(\.gz") as e:
        read_idx_folder(tmp_path)
    assert str(tmp_path) in str(e.value)
    assert isinstance(e.value, FileNotFoundError)


def _damage(case: str, data: bytes) -> bytes:
    if case == "magic":
        return struct.pack(">I", 2052) + data[4:]
    if case == "float type":
        return struct.pack(">I", 0x0D03) + data[4:]
    if case == "short":
        return data[:-5]
    if case == "long":
        return data + b"\0"
    if case == "header":
        return data[:10]
    assert case == "empty"
    return b""


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("magic", "magic number 2052, not 2051"),
        ("float type", "magic number 3331, not 2051"),
        ("short", r"promises 47040 values of shape \(60, 28, 28\), the file holds 47035"),
        ("long", "the file holds 47041"),
        ("header", "ends inside its header"),
        ("empty", "magic number None"),
    ],
)
def test_damaged_images(tmp_path: Path, case: str, message: str) -> None:
    arrays = small_arrays()
    write_idx_folder(tmp_path, arrays, packed=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(_damage(case, path.read_bytes()))
    with pytest.raises(DatasetError, match=message) as e:
        read_idx_folder(tmp_path)
    assert str(e.value).startswith(f"{path}: ")


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_truncated_gzip(tmp_path: Path, keep: float) -> None:
    write_idx_folder(tmp_path, small_arrays())
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(DatasetError, match="truncated or damaged") as e:
        read_idx_folder(tmp_path)
    assert str(path) in str(e.value)


def test_flipped_byte_in_gzip(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, small_arrays())
    path = tmp_path / "train-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="truncated or damaged"):
        read_idx_folder(tmp_path)


def test_counts_of_images_and_labels_differ(tmp_path: Path) -> None:
    arrays = small_arrays()
    arrays["train-labels-idx1-ubyte"] = arrays["train-labels-idx1-ubyte"][:-1]
    write_idx_folder(tmp_path, arrays)
    with pytest.raises(DatasetError, match=r"holds 60 images, but .* holds 59 labels") as e:
        read_idx_folder(tmp_path)
    assert "train-images-idx3-ubyte.gz" in str(e.value)
    assert "train-labels-idx1-ubyte.gz" in str(e.value)


def test_label_out_of_range(tmp_path: Path) -> None:
    arrays = small_arrays()
    arrays["t10k-labels-idx1-ubyte"][7] = 10
    write_idx_folder(tmp_path, arrays)
    with pytest.raises(DatasetError, match=r"label 10 at index 7 is not in 0\.\.9") as e:
        read_idx_folder(tmp_path)
    assert "t10k-labels-idx1-ubyte.gz" in str(e.value)


def test_images_of_another_size(tmp_path: Path) -> None:
    arrays = small_arrays()
    arrays["train-images-idx3-ubyte"] = arrays["train-images-idx3-ubyte"][:, :27]
    write_idx_folder(tmp_path, arrays)
    with pytest.raises(DatasetError, match="27 x 28 pixels, not 28 x 28"):
        read_idx_folder(tmp_path)


def test_one_idx_file_is_not_a_data_set(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(np.zeros((2, 28, 28), np.uint8)))
    with pytest.raises(DatasetError, match="one IDX file of four"):
        load_mnist(path)


def test_real_files(mnist_path: Path) -> None:
    training, validation, test = load_mnist(mnist_path)
    assert [len(part.labels) for part in (training, validation, test)] == [50_000, 10_000, 10_000]
    assert training.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    counts = np.bincount(np.concatenate([training.labels, validation.labels]))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert float(test.images.max()) == 255 / 256
    assert test.images.mean(dtype=np.float64) * 256 / 255 == pytest.approx(0.13251460, abs=1e-7)
