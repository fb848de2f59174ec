"""MNIST-like data written in the layouts that people have."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}
_CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


class Original(NamedTuple):
    """What the layouts hold: images uint8 (n, 28, 28) and labels uint8 (n,)."""

    images: Array
    labels: Array
    test_images: Array
    test_labels: Array


def original(training: int = 60, test: int = 20, classes: int = 10, seed: int = 0) -> Original:
    """Random images, and labels that include the last class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (training + test, 28, 28), np.uint8)
    labels = rng.integers(0, classes, training + test, np.uint8)
    labels[0] = labels[training] = classes - 1
    return Original(images[:training], labels[:training], images[training:], labels[training:])


def idx(values: Array) -> bytes:
    """The IDX file that holds `values`, of any dtype that the format knows."""
    header = struct.pack(
        f">{1 + values.ndim}I", _CODES[values.dtype.name] * 256 + values.ndim, *values.shape
    )
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


def write_four(
    folder: Path,
    data: Original,
    names: str = "{part}-{kind}-idx{n}-ubyte",
    packing: str = "",
    test: str = "t10k",
) -> Path:
    """Four IDX files in `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, images, labels in (
        ("train", data.images, data.labels),
        (test, data.test_images, data.test_labels),
    ):
        for kind, n, values in (("images", 3, images), ("labels", 1, labels)):
            name = names.format(part=part, kind=kind, n=n) + packing
            (folder / name).write_bytes(PACK[packing](idx(values)))
    return folder


def table(images: Array, labels: Array | None, header: list[str] | None = None) -> str:
    """CSV text: the label, if there are labels, and 784 pixels in a row."""
    rows = images.reshape(len(images), -1)
    if labels is not None:
        rows = np.column_stack([labels, rows])
    lines = [",".join(map(str, row)) for row in rows.tolist()]
    return "\n".join([*([",".join(header)] if header else []), *lines]) + "\n"


def check(splits: Any, data: Original) -> None:
    """The three parts are those of `data`, in order: the last sixth of training is validation."""
    count = len(data.labels)
    cut = count - count // 6
    for part, images, labels in zip(
        splits,
        (data.images[:cut], data.images[cut:], data.test_images),
        (data.labels[:cut], data.labels[cut:], data.test_labels),
        strict=True,
    ):
        assert (part.images.dtype, part.labels.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(part.images * 256, images.reshape(len(images), 784))
        np.testing.assert_array_equal(part.labels, labels)
