"""scatter_add, scatter_set: rows added to, or stored in, x at the positions of index vectors.

Shapes: x (outer, index, rest), rows (outer, n, rest), k vectors (n,) -> x, in place. One thread
alone writes an element of x. scatter_add: the thread of the first row with this index adds up all
of them in order. scatter_set: the thread of the last one stores its own. There are no atomics, and
results are reproducible.

Up to FEW_ROWS rows: one kernel, whose threads compare the indices of all rows. More: a first kernel
links every row to the next one with the same index, by n * n comparisons in shared memory; a second
kernel follows the links. Launch: a thread per element of the rows (`each.py`); for the links, a
thread per row.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, factory, grid_1d
from ..core.device import TYPES, cuda, device, int32, uint32, uint64
from ..core.each import each
from ..core.integers import blocks_for
from .rows import IndexedAxes, indexed_axes

FEW_ROWS = 128
THREADS = 256


@factory("scatter_add")
def scatter_add(call: Call) -> Launches:
    """One kernel, or two and a workspace of the links."""
    return _launches(call, _add_few, _add_linked)


@factory("scatter_set")
def scatter_set(call: Call) -> Launches:
    """One kernel, or two and a workspace of the links."""
    return _launches(call, _set_few, _set_linked)


def _launches(call: Call, few: Function, linked: Function) -> Launches:
    axes = indexed_axes(call, 2)
    n_elements = call.inputs[1].size
    if axes.n <= FEW_ROWS:
        return Launches((each(n_elements, few(call, axes)),))
    workspace = len(call.at)
    second = each(n_elements, linked(call, axes, workspace))
    return Launches((_link_rows(axes, workspace), second), ("int32", axes.n))


def _places(axes: IndexedAxes) -> tuple[Function, Function]:
    """Two device functions.

    `split(i)`: (outer, row, column) of element i of the rows. `element_of(outer, place, column)`:
    number of an element of x.
    """
    n, rest, places = max(axes.n, 1), max(axes.rest, 1), axes.places

    def split(i: Any) -> Any:
        row = uint32(i // uint32(rest))
        outer = uint32(row // uint32(n))
        column = uint32(i - uint32(row * uint32(rest)))
        return outer, uint32(row - uint32(outer * uint32(n))), column

    def element_of(outer: Any, place: Any, column: Any) -> Any:
        indexed = uint32(uint32(outer * uint32(places)) + uint32(place))
        return uint32(uint32(indexed * uint32(rest)) + column)

    return device(split), device(element_of)


def _sum(dtype: str) -> Function:
    """The sum of two elements. Bools: whether one is true. Integers wrap when they are stored."""
    if dtype == "bool":
        return device(lambda x, y: x | y)
    kind = TYPES[dtype if dtype.startswith("float") else "int64"]
    return device(lambda x, y: kind(kind(x) + kind(y)))


def _add_few(call: Call, axes: IndexedAxes) -> Function:
    n, rest, place = axes.n, axes.rest, axes.place
    split, element_of = _places(axes)
    at_x, at_rows, store, add = call.at[0], call.at[1], call.stores[0], _sum(call.inputs[0].dtype)

    def element(i: Any, p: Any) -> None:
        outer, row, column = split(i)
        mine = place(row, p)
        is_first = True
        for r in range(row):
            if place(uint32(r), p) == mine:
                is_first = False
        if is_first:
            k = element_of(outer, mine, column)
            total = add(p[0][uint64(at_x(k))], p[1][uint64(at_rows(i))])
            for r in range(row + 1, n):
                if place(uint32(r), p) == mine:
                    j = uint32(i + uint32(uint32(r - row) * uint32(rest)))
                    total = add(total, p[1][uint64(at_rows(j))])
            store(total, k, p)

    return element


def _set_few(call: Call, axes: IndexedAxes) -> Function:
    n, place = axes.n, axes.place
    split, element_of = _places(axes)
    at_rows, store = call.at[1], call.stores[0]

    def element(i: Any, p: Any) -> None:
        outer, row, column = split(i)
        mine = place(row, p)
        is_last = True
        for r in range(row + 1, n):
            if place(uint32(r), p) == mine:
                is_last = False
        if is_last:
            store(p[1][uint64(at_rows(i))], element_of(outer, mine, column), p)

    return element


def _link_rows(axes: IndexedAxes, workspace: int) -> Launch:
    """Link of row r: the number of the next row with the same index, or n; inverted by ~ if r is
    not the first one."""
    n, place = axes.n, axes.place
    threads = min(THREADS, n)

    def body(p: Any) -> None:
        tile = cuda.shared.array(THREADS, int32)
        t = cuda.threadIdx.x
        r = int32(cuda.grid(1))
        mine = place(uint32(r), p) if r < n else int32(-1)
        link = int32(n)
        is_first = True
        for begin in range(0, n, threads):
            cuda.syncthreads()
            tile[t] = place(uint32(begin + t), p) if begin + t < n else int32(-1)
            cuda.syncthreads()
            for k in range(threads):
                if tile[k] == mine:
                    other = int32(begin + k)
                    if other < r:
                        is_first = False
                    elif other > r and other < link:
                        link = int32(other)
        if r < n:
            p[workspace][uint64(r)] = link if is_first else int32(~link)

    return Launch(body, grid_1d(blocks_for(n, threads), threads))


def _add_linked(call: Call, axes: IndexedAxes, workspace: int) -> Function:
    n, rest, place = axes.n, axes.rest, axes.place
    split, element_of = _places(axes)
    at_x, at_rows, store, add = call.at[0], call.at[1], call.stores[0], _sum(call.inputs[0].dtype)

    def element(i: Any, p: Any) -> None:
        outer, row, column = split(i)
        link = int32(p[workspace][uint64(row)])
        if link >= 0:
            k = element_of(outer, place(row, p), column)
            total = add(p[0][uint64(at_x(k))], p[1][uint64(at_rows(i))])
            begin = uint32(i - uint32(row * uint32(rest)))
            while link < n:
                j = uint32(begin + uint32(uint32(link) * uint32(rest)))
                link = int32(~p[workspace][uint64(link)])
                total = add(total, p[1][uint64(at_rows(j))])
            store(total, k, p)

    return element


def _set_linked(call: Call, axes: IndexedAxes, workspace: int) -> Function:
    n, place = axes.n, axes.place
    split, element_of = _places(axes)
    at_rows, store = call.at[1], call.stores[0]

    def element(i: Any, p: Any) -> None:
        outer, row, column = split(i)
        link = int32(p[workspace][uint64(row)])
        if link == n or link == ~n:  # no later row has this index
            store(p[1][uint64(at_rows(i))], element_of(outer, place(row, p), column), p)

    return element
