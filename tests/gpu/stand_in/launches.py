"""The stand-in driver as programs beside it use it."""

from __future__ import annotations

import ctypes

import numpy as np

stand_in = ctypes.CDLL("libcuda.so.1")
for name in ("launches", "blocks", "handles", "contexts", "block"):
    getattr(stand_in, f"stand_in_{name}").restype = ctypes.c_uint64
stand_in.stand_in_limit.argtypes = [ctypes.c_uint64]
stand_in.stand_in_block.argtypes = [ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64)]


class Launch(ctypes.Structure):
    """A kernel that a graph runs. parameters: n numbers of 64 bits."""

    _fields_ = (
        ("function", ctypes.c_void_p),
        ("kernel", ctypes.c_char_p),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("parameters", ctypes.POINTER(ctypes.c_uint64)),
        ("n", ctypes.c_uint64),
    )


RUNNER = ctypes.CFUNCTYPE(None, ctypes.POINTER(Launch))


def array(address: int, n: int, dtype: type = np.float32) -> np.ndarray:  # type: ignore[type-arg]
    """Memory of the stand-in as an array."""
    nbytes = n * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * nbytes).from_address(address), dtype)
