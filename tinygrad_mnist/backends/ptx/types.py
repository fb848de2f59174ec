"""PTX's types (section 5.2 of NVIDIA's "PTX ISA") as NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np


class PtxError(Exception):
    """PTX that can't be read or run; the message names the kernel, the opcode and the line."""


class UnsetRegisterError(PtxError):
    """A kernel reads a register that no thread has written."""


_FLOATS: dict[str, np.dtype[Any]] = {"f32": np.dtype("float32"), "f64": np.dtype("float64")}
_INTEGERS: dict[str, np.dtype[Any]] = {
    f"{kind}{8 * size}": np.dtype(f"{'i' if kind == 's' else 'u'}{size}")
    for kind in "usb"
    for size in (1, 2, 4, 8)
}
# tf32 is kept in the bits of a float32.
DTYPES: dict[str, np.dtype[Any]] = {
    **_FLOATS,
    **_INTEGERS,
    "pred": np.dtype("bool"),
    "tf32": np.dtype("uint32"),
}


def storage(kind: str) -> np.dtype[Any]:
    """The dtype of the values of registers that are declared with this type: floats as they are,
    all integers unsigned."""
    dtype = DTYPES[kind]
    return np.dtype(f"u{dtype.itemsize}") if dtype.kind == "i" else dtype


def is_float(kind: str) -> bool:
    """Whether a type is one of floats."""
    return kind in _FLOATS


def is_signed(kind: str) -> bool:
    """Whether a type is one of signed integers."""
    return kind[0] == "s"


def bits(kind: str) -> int:
    """Width of a type."""
    return 8 * DTYPES[kind].itemsize
