"""`tf.io`: bytes of files and what they mean."""

from __future__ import annotations

import gzip
import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import ArgumentError, GraphTypeError, in_short
from tinygrad_mnist.files import open_regular
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.datasets import mnist
from tinygrad_mnist.keras.tensors import dtype_of, tensor
from tinygrad_mnist.limits import limits
from tinygrad_mnist.tf.operation import operation
from tinygrad_mnist.tf.stack import Stack

#: The four files of MNIST in the public bucket that the codelab reads.
_BUCKET = re.compile(r"gs://mnist-public/(train|t10k)-(images-idx3|labels-idx1)-ubyte")
_GZIP = b"\x1f\x8b"
_PART = 1 << 20  # bytes that are read at a time


def _values(data: NDArray[Any], dtype: Any, little_endian: bool) -> NDArray[Any]:
    """Bytes uint8 (…, length) as numbers (…, length / size of one)."""
    kind = dtype_of(dtype)
    if data.shape[-1] % kind.itemsize:
        raise ArgumentError(f"{data.shape[-1]} bytes are no whole number of {kind} values")
    stored = kind.newbyteorder("<" if little_endian else ">")
    return np.ascontiguousarray(data).view(stored).astype(kind, copy=False)


def _bytes(strings: NDArray[Any]) -> NDArray[Any]:
    """Strings of one length as uint8 (…, length)."""
    if strings.dtype.kind == "V":
        columns = np.ascontiguousarray(strings)[..., None].view(np.uint8)
        return columns.reshape(*strings.shape, strings.dtype.itemsize)
    texts = strings.ravel().tolist()
    if not all(isinstance(text, bytes) for text in texts):
        raise GraphTypeError(f"decode_raw needs strings, not values of dtype {strings.dtype}")
    if len({len(text) for text in texts}) > 1:
        raise ArgumentError("decode_raw needs strings of one length")
    length = len(texts[0]) if texts else 0
    return np.frombuffer(b"".join(texts), np.uint8).reshape(*strings.shape, length)


def _decode_stack(input_bytes: Stack, out_type: Any, little_endian: bool = True) -> Stack:
    return Stack(_values(_bytes(input_bytes.rows), out_type, little_endian))


@operation(None, _decode_stack)
def decode_raw(input_bytes: Any, out_type: Any, little_endian: bool = True) -> Any:
    """The numbers whose bytes strings are: shape (…,) gives (…, bytes / size of a number)."""
    return _values(_bytes(np.asarray(tensor(input_bytes))), out_type, little_endian)


@operation()
def read_file(filename: Any) -> Any:
    """The contents of a file as a string; `tf.io.decode_raw` makes numbers of it."""
    return read_bytes(filename)


def file_name(name: Any) -> str:
    """A file's name, also of a tensor."""
    if isinstance(name, np.ndarray) and not name.ndim:
        name = name.item()
    if not isinstance(name, str | bytes | os.PathLike):
        raise GraphTypeError(f"{shown(name)} is no file name")
    return os.fsdecode(name)


def read_bytes(name: Any, compression: str = "") -> bytes:
    """The contents of a file, unpacked. compression: '', 'GZIP' or 'ZLIB'.

    The codelab's names gs://mnist-public/train-images-idx3-ubyte and the like mean the MNIST that
    `keras.datasets.mnist` finds.

    Raises FileNotFoundError; OSError for what is no regular file; ArgumentError for contents that
    aren't packed in that way, or are more than `limits.unpacked_bytes`.
    """
    name = file_name(name)
    if found := _BUCKET.fullmatch(name):
        return _mnist(*found.groups())
    if "://" in name:
        raise ArgumentError(f"{name}: only files of this machine can be read; download it first")
    with open_regular(name) as file:
        try:
            return _read(name, _unpacked(file, compression))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            what = f"no whole {compression} file: {in_short(error)}"
            raise ArgumentError(f"{name}: {what}") from error


def _unpacked(file: BinaryIO, compression: str) -> Iterator[bytes]:
    """A file's contents, unpacked, in parts of about a megabyte."""
    if compression != "ZLIB":
        source: Any = gzip.GzipFile(fileobj=file) if compression == "GZIP" else file
        while part := source.read(_PART):
            yield part
        return
    unpacker = zlib.decompressobj()
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(_PART)
        if not packed:
            raise EOFError("it ends too early")
        yield unpacker.decompress(packed, _PART)


def _read(name: str, parts: Iterator[bytes]) -> bytes:
    """The parts in one. Raises ArgumentError for more than the limit allows."""
    contents = bytearray()
    for part in parts:
        contents += part
        if len(contents) > limits.unpacked_bytes:
            most = f"more than {limits.unpacked_bytes:,} bytes, the limit `unpacked_bytes`"
            raise ArgumentError(f"{name}: {most}")
    return bytes(contents)


def is_gzipped(data: bytes) -> bool:
    """Whether contents are packed."""
    return data[:2] == _GZIP


def _mnist(part: str, kind: str) -> bytes:
    """One of MNIST's four files, as published."""
    images, labels = mnist.load_data()[part == "t10k"]
    array = images if kind.startswith("images") else labels
    header = struct.pack(f">{1 + array.ndim}I", 8 * 256 + array.ndim, *array.shape)
    return header + array.tobytes()


__all__ = [
    "decode_raw",
    "read_file",
]
