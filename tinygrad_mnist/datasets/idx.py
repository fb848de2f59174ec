"""Read the IDX files in which MNIST is published, gzipped or not.

An IDX file is a big-endian header (two zero bytes, a type code, the number of
dimensions, one 32-bit size per dimension) and then the values in C order.
Source: http://yann.lecun.com/exdb/mnist/ (section "File formats").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.splits import (
    PIXELS,
    DatasetError,
    DatasetNotFoundError,
    Images,
    Pair,
    Splits,
    as_path,
    check_labels,
)

TRAINING_IMAGES = "train-images-idx3-ubyte"
TRAINING_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
IDX_NAMES = (TRAINING_IMAGES, TRAINING_LABELS, TEST_IMAGES, TEST_LABELS)

_UNSIGNED_BYTE = 8


def read_bytes(path: Path) -> bytes:
    """The file's contents, unpacked when they are gzip.

    Raises DatasetError, naming the file, when the gzip stream is cut or damaged.
    """
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path}: the gzip data are truncated or damaged ({error})") from None


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in one IDX file, read-only, with `dimensions` dimensions.

    Raises DatasetError when the magic number is wrong or the length does not
    agree with the header.
    """
    data = read_bytes(path)
    header = 4 + 4 * dimensions
    magic = _UNSIGNED_BYTE * 256 + dimensions
    found = struct.unpack(">I", data[:4])[0] if len(data) >= 4 else None
    if found != magic:
        raise DatasetError(
            f"{path}: the file starts with magic number {found}, not {magic}"
            f" (IDX, unsigned bytes, {dimensions} dimension{'s' if dimensions > 1 else ''})"
        )
    if len(data) < header:
        raise DatasetError(f"{path}: the file ends inside its header")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    size = math.prod(shape)
    if len(data) - header != size:
        raise DatasetError(
            f"{path}: the header promises {size} values of shape {shape},"
            f" the file holds {len(data) - header}"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def find_idx(folder: Path, name: str) -> Path | None:
    """The path of IDX file `name` in `folder`, plain or gzipped, or None.

    Some mirrors write a dot for the hyphen before "idx"; both spellings count.
    """
    for stem in (name, name.replace("-idx", ".idx")):
        for candidate in (folder / f"{stem}.gz", folder / stem):
            if candidate.is_file():
                return candidate
    return None


def as_floats(pixels: NDArray[np.uint8]) -> Images:
    """Bytes of shape (n, ...) as float32 rows (n, 784), byte / 256 as in the book's file."""
    return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(256)


def _read_pair(images_path: Path, labels_path: Path) -> Pair:
    pixels = read_idx(images_path, 3)
    labels = read_idx(labels_path, 1).astype(np.int64)
    if pixels.shape[1] * pixels.shape[2] != PIXELS:
        raise DatasetError(
            f"{images_path}: images of {pixels.shape[1]} x {pixels.shape[2]} pixels, not 28 x 28"
        )
    if len(pixels) != len(labels):
        raise DatasetError(
            f"{images_path} holds {len(pixels)} images,"
            f" but {labels_path} holds {len(labels)} labels"
        )
    check_labels(labels, str(labels_path))
    return Pair(as_floats(pixels), labels)


def read_idx_folder(folder: Path) -> Splits:
    """The data set in a folder of the four IDX files.

    The last sixth of the training file (rounded down) becomes the validation
    part: 50,000 and 10,000 of MNIST's 60,000 images, in the files' order.

    Raises DatasetNotFoundError when a file is missing, DatasetError when one
    can't be trusted; each message names the file.
    """
    folder = as_path(folder)
    paths = [find_idx(folder, name) for name in IDX_NAMES]
    found = [path for path in paths if path is not None]
    if len(found) < len(paths):
        missing = [name for name, path in zip(IDX_NAMES, paths, strict=True) if path is None]
        raise DatasetNotFoundError(f"{folder}: no file {' or '.join(missing)} (.gz or plain)")
    training = _read_pair(found[0], found[1])
    test = _read_pair(found[2], found[3])
    count = len(training.labels)
    cut = count - count // 6
    return Splits(
        Pair(training.images[:cut], training.labels[:cut]),
        Pair(training.images[cut:], training.labels[cut:]),
        test,
    )
