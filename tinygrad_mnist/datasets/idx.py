"""Read the IDX files in which MNIST and its kin are published, packed or not.

An IDX file is a big-endian header (two zero bytes, a type code, the number of
dimensions, one 32-bit size per dimension) and then the values in C order.
Source: http://yann.lecun.com/exdb/mnist/ (section "File formats").
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.contents import MOST_COUNTED, READABLE, describe_file, length_of_rest
from tinygrad_mnist.datasets.splits import DatasetError
from tinygrad_mnist.limits import limits

_UNSIGNED_BYTE = 8
#: Type codes of integers, which labels may have: QMNIST's are of 4 bytes.
_INTEGERS = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4"}


def is_idx(data: bytes) -> bool:
    """Whether contents begin as an IDX file of any type does."""
    return len(data) >= 4 and data[:2] == b"\0\0" and data[2] in (8, 9, 11, 12, 13, 14)


def read_images(file: BinaryIO, path: Path) -> NDArray[np.uint8]:
    """The images (n, rows, columns) in an IDX file of unsigned bytes, read-only.

    file: its contents, from their beginning. Raises DatasetError when the magic number is wrong,
    the length does not agree with the header, or the header promises more than
    `limits.array_bytes`.
    """
    return _values(file, path, [_UNSIGNED_BYTE * 256 + 3], "unsigned bytes, 3 dimensions")


def read_labels(file: BinaryIO, path: Path) -> NDArray[Any]:
    """The labels in an IDX file of integers: (n,), or (n, k) as QMNIST has them.

    As `read_images`.
    """
    magics = [code * 256 + dims for code in _INTEGERS for dims in (1, 2)]
    return _values(file, path, magics, "unsigned bytes, 1 dimension")


def _check_magic(start: bytes, path: Path, wanted: list[int], meaning: str) -> None:
    found = struct.unpack(">I", start)[0] if len(start) == 4 else None
    if found in wanted:
        return
    what = "unknown data" if is_idx(start) else describe_file(path)
    hint, advice = "", ""
    if what != "unknown data":
        hint, advice = f"{what}, not an IDX file; ", f"; {READABLE}"
    raise DatasetError(
        f"{path}: {hint}the file starts with magic number {found}, not {wanted[0]}"
        f" (IDX, {meaning}){advice}"
    )


def _values(file: BinaryIO, path: Path, magics: list[int], meaning: str) -> NDArray[Any]:
    start = file.read(4)
    _check_magic(start, path, magics, meaning)
    dimensions = start[3]
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DatasetError(f"{path}: the file ends inside its header")
    shape = struct.unpack(f">{dimensions}I", sizes)
    dtype = np.dtype(_INTEGERS[start[2]])
    size = math.prod(shape)
    length = size * dtype.itemsize
    promise = f"the header promises {size} values of shape {shape}"
    if length > limits.array_bytes:
        raise DatasetError(f"{path}: {promise}; the limit `array_bytes` is {limits.array_bytes:,}")
    data = file.read(length)
    extra = length_of_rest(file)
    rest = len(data) + extra
    if rest != length:
        held = f"{rest}" if dtype.itemsize == 1 else f"{rest} bytes"
        held = f"more than {held}" if extra >= MOST_COUNTED else held
        raise DatasetError(f"{path}: {promise}, the file holds {held}")
    return np.frombuffer(data, dtype).reshape(shape)
