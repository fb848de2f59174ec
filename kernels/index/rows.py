"""Arrays (outer, index, rest) and their index vectors, for gather and scatter."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ..core.call import Call, Function
from ..core.device import device, int32


class IndexedAxes(NamedTuple):
    """x (outer, index, rest) and rows (outer, n, rest). All index axes count as one here.

    outer, rest: elements of those axes. n: rows. places: elements of the index axes. place:
    `place(r, p)` is the index, int32, along the index axes that the vectors have for row r
    (u32).
    """

    outer: int
    n: int
    rest: int
    places: int
    place: Function


def indexed_axes(call: Call, first_vector: int) -> IndexedAxes:
    """The axes of a gather or scatter, whose index vectors are inputs from `first_vector` on."""
    axis, k = int(call.params["axis"]), int(call.params["n_index"])
    shape = call.inputs[0].shape
    sides = shape[axis : axis + k]
    vectors = range(first_vector, first_vector + k)
    indices = [_index_along(side, v, call.at[v]) for side, v in zip(sides, vectors, strict=True)]
    place = indices[0]
    for side, index in zip(sides[1:], indices[1:], strict=True):
        place = _joined(place, side, index)
    return IndexedAxes(
        prod(shape[:axis]),
        call.inputs[first_vector].size,
        prod(shape[axis + k :]),
        prod(sides),
        place,
    )


def _index_along(side: int, vector: int, at: Function) -> Function:
    """`index(r, p)`: the index of row r along an axis of `side` elements, from its vector."""

    def index(r: Any, p: Any) -> Any:
        value = int32(p[vector][at(r)])
        return int32(value + side) if value < 0 else value

    return device(index)


def _joined(before: Function, side: int, last: Function) -> Function:
    """The index along the axes before and one more of `side` elements, in C order."""
    return device(lambda r, p: int32(int32(before(r, p) * side) + last(r, p)))
