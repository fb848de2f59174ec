"""`tf.io`: bytes of files and what they mean."""

from __future__ import annotations

import gzip
import os
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.datasets import mnist
from tinygrad_mnist.keras.tensors import dtype_of, tensor
from tinygrad_mnist.tf.operation import operation
from tinygrad_mnist.tf.stack import Stack

#: The four files of MNIST in the public bucket that the codelab reads.
_BUCKET = re.compile(r"gs://mnist-public/(train|t10k)-(images-idx3|labels-idx1)-ubyte")
_GZIP = b"\x1f\x8b"


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

    Raises FileNotFoundError, and ArgumentError for contents that aren't packed in that way.
    """
    name = file_name(name)
    if found := _BUCKET.fullmatch(name):
        return _mnist(*found.groups())
    if "://" in name:
        raise ArgumentError(f"{name}: only files of this machine can be read; download it first")
    data = Path(name).read_bytes()
    try:
        if compression == "GZIP":
            return gzip.decompress(data)
        return zlib.decompress(data) if compression == "ZLIB" else data
    except (OSError, EOFError, zlib.error) as error:
        raise ArgumentError(f"{name}: no whole {compression} file: {error}") from error


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
