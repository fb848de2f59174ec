"""Read the book's mnist.pkl.gz and mnist_expanded.pkl.gz without trusting them.

A pickle is a program, so nothing that it names is imported. The few NumPy names
that an array needs resolve to the inert stand-ins below, which only collect a
dtype, a shape and bytes; any other name is an error. Arrays are then built here,
after their sizes are checked.
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.contents import (
    READABLE,
    delimiter,
    describe_file,
    foreign,
    read_start,
    refuse,
)
from tinygrad_mnist.datasets.splits import (
    PIXELS,
    DatasetError,
    DatasetNotFoundError,
    Images,
    Labels,
    Pair,
    Splits,
    as_path,
    check_labels,
    check_pixels,
)

_DTYPE_CODE = re.compile(r"[fiu][1248]|b1")
_BYTE_ORDERS = "<>|="


class _RefusedError(Exception):
    """The pickle asks for something that is not part of a data set."""


class _Name:
    """A stand-in for a global: it can be called or passed on, and nothing can be set on it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("it changes a global")


class _Dtype:
    """dtype(code, align, copy) and its state (version, byte order, ...)."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        self.code = _text(code)
        self.order = "="
        if not _DTYPE_CODE.fullmatch(self.code):
            raise _RefusedError(f"it holds an array of dtype {self.code!r}")

    def __setstate__(self, state: Sequence[object]) -> None:
        order = _text(state[1])
        if len(order) != 1 or order not in _BYTE_ORDERS:
            raise _RefusedError(f"it has a dtype of byte order {order!r}")
        self.order = order

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Array:
    """An array under construction; `value` is set with its state."""

    __slots__ = ("value",)

    def __init__(self, *_: object) -> None:
        self.value: NDArray[Any] | None = None

    def __setstate__(self, state: Sequence[object]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _build(data, dtype, shape, "F" if fortran else "C")


def _text(value: object) -> str:
    """Text of a pickle: bytes from Python 2, str from Python 3, both latin-1."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value
    raise _RefusedError(f"it has a {type(value).__name__} where text belongs")


def _build(data: object, dtype: object, shape: object, order: object) -> NDArray[Any]:
    """An array over `data`, not copied, after its length is checked against the shape."""
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise _RefusedError("it has an array without bytes or dtype")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise _RefusedError(f"it has an array of shape {shape!r}")
    kind = dtype.numpy()
    if len(data) != math.prod(shape) * kind.itemsize:
        raise _RefusedError(
            f"it has {len(data)} bytes for an array of shape {shape} and dtype {kind}"
        )
    flat: NDArray[Any] = np.frombuffer(data, kind)
    return flat.reshape(shape, order="F" if _text(order) == "F" else "C")


def _array_from_buffer(data: object, dtype: object, shape: object, order: object) -> _Array:
    array = _Array()
    array.value = _build(data, dtype, shape, order)
    return array


def _scalar(dtype: object, data: object) -> np.generic:
    return cast(np.generic, _build(data, dtype, (), "C")[()])


def _latin_1(text: object, encoding: object) -> bytes:
    """Bytes, as Python 3 writes them in the protocols of Python 2."""
    if not isinstance(text, str) or _text(encoding) not in ("latin1", "latin-1"):
        raise _RefusedError("it encodes something else than latin-1 text")
    return text.encode("latin-1")


def _no_call(*_: object) -> None:
    raise _RefusedError("it calls numpy.ndarray")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _no_call,
    ("_codecs", "encode"): _latin_1,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array_from_buffer),
        )
    },
}


class _SafeUnpickler(pickle.Unpickler):
    """Resolves the names in `_ALLOWED` to stand-ins and refuses the rest."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"it asks for {module}.{name}")
        return _Name(_ALLOWED[module, name])

    def persistent_load(self, pid: object) -> Any:
        raise _RefusedError("it asks for a persistent object")


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, io.BufferedReader(gzip.open(path)) if packed else path.open("rb"))


def unpickle(path: Path) -> object:
    """The contents of a pickle of arrays, NumPy scalars, numbers, lists and tuples.

    Gzipped or plain, of any protocol, written by Python 2 or 3. Raises
    DatasetError, naming the file and the forbidden name, when it wants anything
    else; nothing in the file is ever executed.
    """
    try:
        with _open(path) as file:
            # Python 2 strings stay bytes, which avoids decoding latin-1 text.
            return _SafeUnpickler(file, encoding="bytes").load()
    except _RefusedError as error:
        raise DatasetError(
            f"{path}: refused, since {error}; a data set holds only arrays, numbers,"
            " lists and tuples (nothing in the file was executed)"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path}: truncated or damaged ({error})") from None
    except OSError:
        raise
    except MemoryError:
        raise DatasetError(f"{path}: its contents do not fit into memory") from None
    except Exception as error:  # a damaged pickle can raise any exception
        what = describe_file(path)
        if what.startswith("text"):
            raise DatasetError(f"{path}: {what}, not a pickle of a data set; {READABLE}") from None
        raise DatasetError(f"{path}: not a pickle of a data set ({error})") from None


def _value(item: object, what: str) -> Any:
    if isinstance(item, _Array):
        if item.value is None:
            raise DatasetError(f"{what}: an array without contents")
        return item.value
    return item


def _is_float_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"a {type(value).__name__}"


def _images(item: object, what: str) -> Images:
    """Rows of 784 float32 from an array (n, 784) or from a list of n arrays."""
    value = _value(item, what)
    if isinstance(value, list | tuple):
        rows = np.empty((len(value), PIXELS), np.float32)
        for k, row in enumerate(value):
            pixels = _value(row, what)
            if not _is_float_array(pixels) or pixels.size != PIXELS:
                raise DatasetError(f"{what}: image {k} is not {PIXELS} floating-point pixels")
            rows[k] = pixels.reshape(PIXELS)
        return rows
    if not _is_float_array(value) or value.ndim != 2 or value.shape[1] != PIXELS:
        raise DatasetError(
            f"{what}: images are {_describe(value)},"
            f" not a floating-point array of shape (n, {PIXELS})"
        )
    return np.array(value, np.float32, order="C")


def _labels(item: object, what: str) -> Labels:
    """int64 labels from an array (n,) or from a list of integers."""
    value = _value(item, what)
    if isinstance(value, list | tuple):
        wrong = next((v for v in value if not isinstance(v, int | np.integer)), None)
        if wrong is not None:
            raise DatasetError(f"{what}: a label is {type(wrong).__name__}, not an integer")
        value = np.array([int(v) for v in value], dtype=np.int64)
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "iu":
        raise DatasetError(f"{what}: labels are {_describe(value)}, not integers of shape (n,)")
    return value.astype(np.int64)


def _pair(item: object, what: str) -> Pair:
    if not isinstance(item, list | tuple) or len(item) != 2:
        raise DatasetError(f"{what}: not a pair of images and labels")
    pair = Pair(_images(item[0], what), _labels(item[1], what))
    if len(pair.images) != len(pair.labels):
        raise DatasetError(f"{what}: {len(pair.images)} images, but {len(pair.labels)} labels")
    check_labels(pair.labels, what)
    check_pixels(pair.images, what)
    return pair


def read_pickle(path: Path) -> Splits:
    """The data set in a file such as the book's mnist.pkl.gz or mnist_expanded.pkl.gz.

    Three pairs (images, labels); images are an array (n, 784) or a list of n
    arrays, labels an array (n,) or a list of integers.

    Raises DatasetNotFoundError when there is no such file, DatasetError when it
    can't be trusted; each message names the file.
    """
    path = as_path(path)
    if not path.is_file():
        raise DatasetNotFoundError(f"{path}: no such file")
    start = read_start(path)
    if foreign(start) or delimiter(start):
        refuse(path, "a pickle of a data set")
    contents = unpickle(path)
    if not isinstance(contents, list | tuple) or len(contents) != 3:
        raise DatasetError(f"{path}: not three pairs (training, validation, test)")
    names = ("training", "validation", "test")
    return Splits(
        *(_pair(part, f"{path}, {name} part") for part, name in zip(contents, names, strict=True))
    )
