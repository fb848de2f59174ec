"""Arrays (outer, index, rest) and their index vectors, for gather and scatter."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ..core.call import Call, Function
from ..core.device import device, int32, uint64


class IndexedAxes(NamedTuple):
    """x (outer, index, rest) and rows (outer, n, rest). All index axes count as one here.

    outer, rest: elements of those axes. n: rows. places: elements of the index axes. place:
    `place(r, p)` is the index, int32, along the index axes that the vectors have for row r
    (uint32).
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
    place = _first_place(sides[0], first_vector, call.at[first_vector])
    for number in range(1, k):
        vector = first_vector + number
        place = _next_place(place, sides[number], vector, call.at[vector])
    return IndexedAxes(
        prod(shape[:axis]),
        call.inputs[first_vector].size,
        prod(shape[axis + k :]),
        prod(sides),
        place,
    )


def _first_place(side: int, vector: int, at: Function) -> Function:
    """The index along the first index axis."""

    def place(r: Any, p: Any) -> Any:
        index = int32(p[vector][uint64(at(r))])
        return int32(index + side) if index < 0 else index

    return device(place)


def _next_place(before: Function, side: int, vector: int, at: Function) -> Function:
    """The index along the axes before and one more, in C order."""

    def place(r: Any, p: Any) -> Any:
        index = int32(p[vector][uint64(at(r))])
        return int32(int32(before(r, p) * side) + (int32(index + side) if index < 0 else index))

    return device(place)
