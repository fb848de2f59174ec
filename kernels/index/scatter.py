"""scatter_add, scatter_set: rows added to, or stored in, x at the positions of index vectors.

Shapes: x (outer, index, rest), rows (outer, n, rest), k vectors (n,) -> x, in place.

Algorithm: one thread alone writes an element of x. scatter_add: the thread of the first row with
this index adds up all of them in order. scatter_set: the thread of the last one stores its own.
There are no atomics, and results are reproducible. Up to FEW_ROWS rows: one kernel, whose threads
compare the indices of all rows. More: a first kernel links every row to the next one with the same
index, by n * n comparisons in shared memory; a second kernel follows the links.

Launch: a thread per element of the rows (`each.py`); for the links, a thread per row. Reference:
contracts/index/scatter.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, factory, grid_1d
from ..core.device import TYPES, cuda, device, int32, int64
from ..core.each import each
from ..core.index import ravel, thread_index, u32, unravel
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
    rest, row_of = axes.rest, ravel(axes.places, 1)

    def element_of(outer: Any, place: Any, column: Any) -> Any:
        return row_of(outer, place) * rest + column

    return unravel(axes.n, rest), device(element_of)


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
        for r in range(int64(row)):
            if place(u32(r), p) == mine:
                is_first = False
        if is_first:
            k = element_of(outer, mine, column)
            total = add(p[0][at_x(k)], p[1][at_rows(i)])
            for r in range(int64(row) + 1, n):
                if place(u32(r), p) == mine:
                    j = i + (r - row) * rest
                    total = add(total, p[1][at_rows(j)])
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
        for r in range(int64(row) + 1, n):
            if place(u32(r), p) == mine:
                is_last = False
        if is_last:
            store(p[1][at_rows(i)], element_of(outer, mine, column), p)

    return element


def _link_rows(axes: IndexedAxes, workspace: int) -> Launch:
    """Link of row r: the number of the next row with the same index, or n; inverted by ~ if r is
    not the first one."""
    n, place = axes.n, axes.place
    threads = min(THREADS, n)

    def body(p: Any) -> None:
        tile = cuda.shared.array(THREADS, int32)
        t, r = thread_index(), int32(cuda.grid(1))
        mine = place(u32(r), p) if r < n else int32(-1)
        link = int32(n)
        is_first = True
        for begin in range(0, n, threads):
            cuda.syncthreads()
            tile[t] = place(begin + t, p) if begin + t < n else int32(-1)
            cuda.syncthreads()
            for k in range(threads):
                if tile[k] == mine:
                    other = int32(begin + k)
                    if other < r:
                        is_first = False
                    elif other > r and other < link:
                        link = int32(other)
        if r < n:
            p[workspace][u32(r)] = link if is_first else int32(~link)

    return Launch(body, grid_1d(blocks_for(n, threads), threads))


def _add_linked(call: Call, axes: IndexedAxes, workspace: int) -> Function:
    n, rest, place = axes.n, axes.rest, axes.place
    split, element_of = _places(axes)
    at_x, at_rows, store, add = call.at[0], call.at[1], call.stores[0], _sum(call.inputs[0].dtype)

    def element(i: Any, p: Any) -> None:
        outer, row, column = split(i)
        link = int32(p[workspace][row])
        if link >= 0:
            k = element_of(outer, place(row, p), column)
            total = add(p[0][at_x(k)], p[1][at_rows(i)])
            begin = i - row * rest
            while link < n:
                j = begin + u32(link) * rest
                link = int32(~p[workspace][u32(link)])
                total = add(total, p[1][at_rows(j)])
            store(total, k, p)

    return element


def _set_linked(call: Call, axes: IndexedAxes, workspace: int) -> Function:
    n, place = axes.n, axes.place
    split, element_of = _places(axes)
    at_rows, store = call.at[1], call.stores[0]

    def element(i: Any, p: Any) -> None:
        outer, row, column = split(i)
        link = int32(p[workspace][row])
        if link == n or link == ~n:  # no later row has this index
            store(p[1][at_rows(i)], element_of(outer, place(row, p), column), p)

    return element
