"""Writes data as the book's pickles hold them, opcode by opcode.

Python's own pickler would name NumPy's present modules, which older versions of NumPy don't have,
and needs several times the memory of the arrays. What is written here is read by `pickle.load` of
Python 2 (cPickle) and 3, with any `encoding`, and by NumPy 1 and 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_STEP = 1 << 22  # bytes that are written at a time


class Writable(Protocol):
    """What has a method `write` for bytes."""

    def write(self, data: bytes, /) -> Any:
        """Writes all of `data`."""


def write_book_pickle(file: Writable, pairs: Iterable[Iterable[NDArray[Any]]]) -> None:
    """Writes a tuple of tuples of arrays, by protocol 2.

    Raises ValueError for an array whose bytes, as UTF-8, pass 4 GiB: protocol 2 holds no more.
    """
    file.write(b"\x80\x02(")  # protocol 2; the outer tuple begins
    for pair in pairs:
        file.write(b"(")
        for array in pair:
            _write_array(file, np.ascontiguousarray(array))
        file.write(b"t")
    file.write(b"t.")


def _write_array(file: Writable, array: NDArray[Any]) -> None:
    """numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b"), and its state: (1, shape,
    dtype, False, data)."""
    file.write(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n")
    file.write(_integer(0) + b"\x85")
    _write_bytes(file, memoryview(b"b"))
    file.write(b"tR(" + _integer(1))
    file.write(b"(" + b"".join(map(_integer, array.shape)) + b"t")
    _write_dtype(file, array.dtype)
    file.write(b"\x89")
    _write_bytes(file, array.reshape(-1).view(np.uint8).data)
    file.write(b"tb")


def _write_dtype(file: Writable, dtype: np.dtype[Any]) -> None:
    """numpy.dtype(code, 0, 1), and its state: (3, byte order, None, None, None, -1, -1, 0)."""
    order = dtype.str[0]
    file.write(b"cnumpy\ndtype\n(" + _text(dtype.str[1:]) + _integer(0) + _integer(1) + b"tR")
    numbers = _integer(-1) * 2 + _integer(0)
    file.write(b"(" + _integer(3) + _text(order) + b"NNN" + numbers + b"tb")


def _write_bytes(file: Writable, data: memoryview) -> None:
    """_codecs.encode(text, "latin1"), with the bytes as text: in Python 2 a str, else bytes."""
    values: NDArray[np.uint8] = np.frombuffer(data, np.uint8)
    size = len(values) + int(np.count_nonzero(values & 0x80))  # latin-1 as UTF-8
    if size >= 2**32:
        raise ValueError(f"an array of {len(values)} bytes is too large for a pickle of protocol 2")
    file.write(b"c_codecs\nencode\n(X" + struct.pack("<I", size))
    for start in range(0, len(data), _STEP):
        file.write(str(data[start : start + _STEP], "latin-1").encode())
    file.write(_text("latin1") + b"tR")


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode("ascii")


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)
