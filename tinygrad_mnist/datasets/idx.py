"""Read the IDX files in which MNIST and its kin are published, packed or not.

An IDX file is a big-endian header (two zero bytes, a type code, the number of
dimensions, one 32-bit size per dimension) and then the values in C order.
Source: http://yann.lecun.com/exdb/mnist/ (section "File formats").
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.contents import READABLE, describe_file
from tinygrad_mnist.datasets.splits import DatasetError

_UNSIGNED_BYTE = 8
#: Type codes of integers, which labels may have: QMNIST's are of 4 bytes.
_INTEGERS = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4"}


def is_idx(data: bytes) -> bool:
    """Whether contents begin as an IDX file of any type does."""
    return len(data) >= 4 and data[:2] == b"\0\0" and data[2] in (8, 9, 11, 12, 13, 14)


def parse_images(data: bytes, path: Path) -> NDArray[np.uint8]:
    """The images (n, rows, columns) in the contents of an IDX file of unsigned bytes, read-only.

    Raises DatasetError when the magic number is wrong or the length does not
    agree with the header.
    """
    _check_magic(data, path, [_UNSIGNED_BYTE * 256 + 3], "unsigned bytes, 3 dimensions")
    return _values(data, path)


def parse_labels(data: bytes, path: Path) -> NDArray[Any]:
    """The labels in the contents of an IDX file of integers: (n,), or (n, k) as QMNIST has them.

    Raises DatasetError when the magic number is wrong or the length does not
    agree with the header.
    """
    magics = [code * 256 + dims for code in _INTEGERS for dims in (1, 2)]
    _check_magic(data, path, magics, "unsigned bytes, 1 dimension")
    return _values(data, path)


def _check_magic(data: bytes, path: Path, wanted: list[int], meaning: str) -> None:
    found = struct.unpack(">I", data[:4])[0] if len(data) >= 4 else None
    if found in wanted:
        return
    what = "unknown data" if is_idx(data) else describe_file(path)
    hint, advice = "", ""
    if what != "unknown data":
        hint, advice = f"{what}, not an IDX file; ", f"; {READABLE}"
    raise DatasetError(
        f"{path}: {hint}the file starts with magic number {found}, not {wanted[0]}"
        f" (IDX, {meaning}){advice}"
    )


def _values(data: bytes, path: Path) -> NDArray[Any]:
    dimensions = data[3]
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise DatasetError(f"{path}: the file ends inside its header")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    dtype = np.dtype(_INTEGERS[data[2]])
    size, rest = math.prod(shape), len(data) - header
    if rest != size * dtype.itemsize:
        held = rest if dtype.itemsize == 1 else f"{rest} bytes"
        raise DatasetError(
            f"{path}: the header promises {size} values of shape {shape}, the file holds {held}"
        )
    return np.frombuffer(data, dtype, offset=header).reshape(shape)
