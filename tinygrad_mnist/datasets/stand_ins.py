"""Inert stand-ins for the few names that an array in a pickle needs: they only collect a dtype, a
shape and bytes. Arrays are built of these after their sizes are checked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.graph.values import shown


class RefusedError(Exception):
    """The pickle asks for something that is not part of a data set."""


_DTYPE_CODE = re.compile(r"[fiu][1248]|b1")
_BYTE_ORDERS = "<>|="


class StandIn:
    """What a pickle may give a state."""

    __slots__ = ()


class Name(StandIn):
    """A stand-in for a global: it can be called or passed on, and nothing can be set on it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: object) -> None:
        raise RefusedError("it changes a global")


class _Dtype(StandIn):
    """dtype(code, align, copy) and its state (version, byte order, ...)."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        self.code = _text(code)
        self.order = "="
        if not _DTYPE_CODE.fullmatch(self.code):
            raise RefusedError(f"it holds an array of dtype {shown(self.code)}")

    def __setstate__(self, state: Sequence[object]) -> None:
        order = _text(state[1])
        if len(order) != 1 or order not in _BYTE_ORDERS:
            raise RefusedError(f"it has a dtype of byte order {shown(order)}")
        self.order = order

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class PickledArray(StandIn):
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
    raise RefusedError(f"it has a {type(value).__name__} where text belongs")


def _build(data: object, dtype: object, shape: object, order: object) -> NDArray[Any]:
    """An array over `data`, not copied, after its length is checked against the shape."""
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise RefusedError("it has an array without bytes or dtype")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise RefusedError(f"it has an array of shape {shown(shape)}")
    kind = dtype.numpy()
    if len(data) != math.prod(shape) * kind.itemsize:
        raise RefusedError(
            f"it has {len(data)} bytes for an array of shape {shown(shape)} and dtype {kind}"
        )
    flat: NDArray[Any] = np.frombuffer(data, kind)
    return flat.reshape(shape, order="F" if _text(order) == "F" else "C")


def _array_from_buffer(data: object, dtype: object, shape: object, order: object) -> PickledArray:
    array = PickledArray()
    array.value = _build(data, dtype, shape, order)
    return array


def _scalar(dtype: object, data: object) -> np.generic:
    return cast(np.generic, _build(data, dtype, (), "C")[()])


def _latin_1(text: object, encoding: object) -> bytes:
    """Bytes, as Python 3 writes them in the protocols of Python 2."""
    if not isinstance(text, str) or _text(encoding) not in ("latin1", "latin-1"):
        raise RefusedError("it encodes something else than latin-1 text")
    return text.encode("latin-1")


def _no_call(*_: object) -> None:
    raise RefusedError("it calls numpy.ndarray")


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _no_call,
    ("_codecs", "encode"): _latin_1,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", PickledArray),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array_from_buffer),
        )
    },
}
