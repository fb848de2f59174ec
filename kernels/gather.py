"""gather: elements picked by index vectors.

Shapes: x (outer, index, rest), k vectors (n,) -> (outer, n, rest). Algorithm: every thread moves
one element after the other; neighbours have neighbouring elements of the output, so rows are read
and written whole, and the index of a row comes from the cache. Launch: see `each.py`.
"""

from __future__ import annotations

from typing import Any

from .call import Call, Launches, factory
from .device import uint32, uint64
from .each import each
from .index_rows import indexed_axes


@factory("gather")
def gather(call: Call) -> Launches:
    """One kernel."""
    axes = indexed_axes(call, 1)
    n, rest = max(axes.n, 1), max(axes.rest, 1)  # where one is 0, there is no element
    places, place = axes.places, axes.place
    at, store = call.at[0], call.stores[0]

    def element(i: Any, p: Any) -> None:
        row = uint32(i // uint32(rest))
        column = uint32(i - uint32(row * uint32(rest)))
        outer = uint32(row // uint32(n))
        r = uint32(row - uint32(outer * uint32(n)))
        indexed = uint32(uint32(outer * uint32(places)) + uint32(place(r, p)))
        store(p[0][uint64(at(uint32(uint32(indexed * uint32(rest)) + column)))], i, p)

    return Launches((each(call.outputs[0].size, element),))
