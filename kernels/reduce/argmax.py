"""argmax, argmin: index of the greatest or the least element along an axis.

Shapes: x of any dtype and strides; int64 indices, with size 1 along the axis.

Algorithm: lanes and parts as in lanes.py. Pairs of an element and its index are combined, so their
order does not matter: the first of equal elements wins, and NaN wins against numbers. Past the end
of an axis its last element is read again, which changes nothing. For a part only the index is
stored.

Launch: up to 256 threads a block; a second launch if an axis is cut into parts. Reference:
contracts/reduce/argmax.py; results are exact.
"""

from __future__ import annotations

from typing import Any

from ..core.axes import kept_and_reduced
from ..core.call import Call, Function, Launch, Launches, factory
from ..core.device import TYPES, device, shared_array, uint32
from ..core.index import block_index, u32
from ..core.integers import ceil_div, power_of_two
from ..core.lanes import ROUND, Split, block_of, folded, reduction, runs_along, split, tree
from .rows import rows_of


@factory("argmax")
def argmax(call: Call) -> Launches:
    """One launch, or two."""
    return _launches(call, _beats(greatest=True))


@factory("argmin")
def argmin(call: Call) -> Launches:
    """One launch, or two."""
    return _launches(call, _beats(greatest=False))


def _beats(greatest: bool) -> Function:
    """`beats(x, y)`: whether x is better than y, regardless of their positions. Without
    branches."""

    def is_greater(x: Any, y: Any) -> Any:
        return (x > y) | ((x != x) & (y == y))

    def is_less(x: Any, y: Any) -> Any:
        return (x < y) | ((x != x) & (y == y))

    return device(is_greater if greatest else is_less)


def _launches(call: Call, beats: Function) -> Launches:
    x, axis = call.inputs[0], call.params["axis"]
    kept, reduced = kept_and_reduced(x.shape, 1 << axis)
    length, results = x.shape[axis], call.outputs[0].size
    if results == 0:
        return Launches(())
    if length == 0:
        raise ValueError(f"{call.kernel}: axis {axis} has no elements")
    rows = not kept or (bool(reduced) and reduced[-1][1] < kept[-1][1])
    along = runs_along([x], 1 << axis, rows)
    cut = split(results, length, rows)
    place, at, store, last = rows_of(x, axis).element, call.at[0], call.stores[0], length - 1
    parts, workspace = cut.parts, len(call.inputs) + len(call.outputs)

    def element(o: Any, r: Any, p: Any) -> Any:
        r = min(r, last)
        return p[0][at(place(o, r))], r

    def winner_of_part(o: Any, part: Any, p: Any) -> Any:
        r = u32(p[workspace][min(part, parts - 1) * results + o])
        return p[0][at(place(o, r))], r

    def store_index(best: Any, number: Any, p: Any) -> None:
        store(best[1], number, p)

    def store_part(best: Any, number: Any, p: Any) -> None:
        p[workspace][number] = best[1]

    load = device(element)
    if cut.parts == 1:
        return Launches((_launch(cut, x.dtype, load, beats, device(store_index), along),))
    again = split(results, cut.parts, rows=False)
    return Launches(
        (
            _launch(cut, x.dtype, load, beats, device(store_part), along),
            _launch(again, x.dtype, device(winner_of_part), beats, device(store_index), False),
        ),
        ("int64", results * cut.parts),
    )


def _launch(
    cut: Split, dtype: str, load: Function, beats: Function, finish: Function, along: bool
) -> Launch:
    """load(o, r, p): element r of result o, and its index; r may be past the end.

    finish(best, number, p): stores the winner of part k of result o; number is k * results + o.
    along: whether neighbours in memory belong to one result.
    """
    last, lanes, block = cut.results - 1, cut.lanes, block_of(cut, along)
    kind, shared = TYPES[dtype], block.shared

    def first_best(a: Any, b: Any) -> Any:
        return b if beats(b[0], a[0]) else a  # a comes before b

    def best_of(a: Any, b: Any) -> Any:
        equal = not beats(a[0], b[0])
        return b if beats(b[0], a[0]) | (equal & (b[1] < a[1])) else a

    combine = device(first_best)
    width = min(ROUND, power_of_two(ceil_div(cut.chunk, lanes)))
    fold = folded(load, combine, width, lanes)

    def of_lane(o: Any, r: Any, begin: Any, end: Any, p: Any) -> Any:
        o = min(o, last)
        best = fold(o, r, p)
        r = r + width * lanes
        while r < end:
            best = combine(best, fold(o, r, p))
            r = r + width * lanes
        return best

    combined = tree(device(best_of), lanes, block.pitch, _read, _write)
    reduced = reduction(block, device(of_lane), combined, finish, _write)

    def body(p: Any) -> None:
        values = shared_array(shared, kind)
        indices = shared_array(shared, uint32)
        reduced((values, indices), block_index(), p)

    return Launch(body, block.grid)


@device
def _read(arrays: Any, place: Any, _: Any) -> Any:
    return arrays[0][place], arrays[1][place]


@device
def _write(arrays: Any, place: Any, best: Any) -> None:
    arrays[0][place] = best[0]
    arrays[1][place] = best[1]
