"""The rows of an array along an axis, for the kernels that walk along one."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ..core.axes import kept_and_reduced
from ..core.call import Function, Operand
from ..core.device import device
from ..core.index import strided


class Rows(NamedTuple):
    """n rows of `length` elements. `element(row, k)`: the number, in C order of the array, of
    element k of a row."""

    n: int
    length: int
    element: Function


def rows_of(x: Operand, axis: int, is_reversed: bool = False) -> Rows:
    """The rows of x, which isn't empty, along an axis; from the end, if `is_reversed`."""
    length, step = x.shape[axis], prod(x.shape[axis + 1 :])
    kept, _ = kept_and_reduced(x.shape, 1 << axis)
    first_of, last = strided(*kept), length - 1

    def element(row: Any, k: Any) -> Any:
        return first_of(row) + (last - k if is_reversed else k) * step

    return Rows(x.size // length, length, device(element))
