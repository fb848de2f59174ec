"""Writes pickles opcode by opcode, as Python 2's cPickle wrote the book's files."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np


class Global:
    """A name that a pickle imports when a trusting reader loads it."""

    def __init__(self, module: str, name: str) -> None:
        self.opcode = f"c{module}\n{name}\n".encode()


class Call:
    """`function(*args)`, run by a trusting reader when it loads the pickle."""

    def __init__(self, function: Global, *args: Any) -> None:
        self.function, self.args_ = function, args


class Build:
    """`item` with `state` given to its __setstate__ (or its __dict__)."""

    def __init__(self, item: Any, state: Any) -> None:
        self.item, self.state = item, state


class LegacyPickler:
    """Protocol 2 with byte strings, memo and the `numpy.core` names of NumPy 1."""

    def __init__(self, core: str = "numpy.core") -> None:
        self.core = core
        self.memo = 0

    def dumps(self, value: Any) -> bytes:
        return b"\x80\x02" + self._encode(value) + b"."

    def _put(self) -> bytes:
        self.memo += 1
        return b"r" + struct.pack("<I", self.memo)

    def _encode(self, value: Any) -> bytes:
        if value is None:
            return b"N"
        if isinstance(value, bool):
            return b"\x88" if value else b"\x89"
        if isinstance(value, np.generic):
            dtype, data = self._dtype(value.dtype), self._encode(value.tobytes())
            function = Global(f"{self.core}.multiarray", "scalar").opcode
            return function + dtype + data + b"\x86R" + self._put()
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, bytes):
            return b"T" + struct.pack("<i", len(value)) + value + self._put()
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, Global):
            return value.opcode + self._put()
        if isinstance(value, Call):
            return self._encode(value.function) + self._encode(value.args_) + b"R" + self._put()
        if isinstance(value, Build):
            return self._encode(value.item) + self._encode(value.state) + b"b"
        if isinstance(value, tuple):
            return b"(" + b"".join(map(self._encode, value)) + b"t" + self._put()
        if isinstance(value, list):
            return b"]" + self._put() + b"(" + b"".join(map(self._encode, value)) + b"e"
        if isinstance(value, dict):
            items = b"".join(self._encode(k) + self._encode(v) for k, v in value.items())
            return b"}" + self._put() + b"(" + items + b"u"
        raise TypeError(type(value))

    def _dtype(self, dtype: np.dtype[Any]) -> bytes:
        call = Call(Global("numpy", "dtype"), dtype.str[1:].encode(), 0, 1)
        order = dtype.str[:1].encode()
        return self._encode(Build(call, (3, order, None, None, None, -1, -1, 0)))

    def _array(self, array: np.ndarray[Any, Any]) -> bytes:
        reconstruct = Global(f"{self.core}.multiarray", "_reconstruct")
        call = self._encode(Call(reconstruct, Global("numpy", "ndarray"), (0,), b"b"))
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        state = b"(" + self._encode(1) + self._encode(array.shape) + self._dtype(array.dtype)
        state += self._encode(bool(fortran))
        state += self._encode(array.tobytes("F" if fortran else "C")) + b"t" + self._put()
        return call + state + b"b"


def legacy_dumps(value: Any, core: str = "numpy.core") -> bytes:
    """`value` (arrays, NumPy scalars, numbers, bytes, lists, tuples) as Python 2 pickled it."""
    return LegacyPickler(core).dumps(value)
