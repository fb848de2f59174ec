"""gather: elements selected by index vectors.

Shapes: x (outer, index, rest), k vectors (n,) -> (outer, n, rest).

Algorithm: a thread copies an element at a time, or 16 bytes of floats if rows are contiguous and
aligned to 16 bytes. Neighbouring threads copy neighbouring elements of the output, so accesses to
rows are coalesced, and the index of a row comes from the cache.

Launch: see `each.py`. Reference: contracts/index/gather.py; results are exact.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launches, factory
from ..core.device import device, load16, store16
from ..core.each import each
from ..core.index import ravel, unravel
from .rows import IndexedAxes, indexed_axes

LANES = {"float32": 4, "float64": 2}  # of 16 bytes


@factory("gather")
def gather(call: Call) -> Launches:
    """One kernel."""
    axes = indexed_axes(call, 1)
    lanes = _lanes(call, axes)
    move = _move_one(call) if lanes == 1 else _move_several(call, lanes)
    rest, place, row_of = axes.rest // lanes, axes.place, ravel(axes.places, 1)
    split = unravel(axes.n, rest)

    def element(i: Any, p: Any) -> None:
        outer, row, column = split(i)
        move(row_of(outer, place(row, p)) * rest + column, i, p)

    return Launches((each(call.outputs[0].size // lanes, element),))


def _lanes(call: Call, axes: IndexedAxes) -> int:
    """How many elements are copied at once."""
    lanes = LANES.get(call.outputs[0].dtype, 1)
    both = (call.inputs[0], call.outputs[0])
    is_wide = all(o.is_contiguous and o.alignment % 16 == 0 for o in both)
    return lanes if is_wide and axes.rest % lanes == 0 else 1


def _move_one(call: Call) -> Function:
    """`move(k, i, p)`: element k of x to element i of the output."""
    at, store = call.at[0], call.stores[0]
    return device(lambda k, i, p: store(p[0][at(k)], i, p))


def _move_several(call: Call, lanes: int) -> Function:
    """The same for groups of `lanes` elements; k and i are numbers of groups."""
    output = len(call.inputs)

    def move(k: Any, i: Any, p: Any) -> None:
        values = load16(p[0], k * lanes)
        store16(p[output], i * lanes, values)

    return device(move)
