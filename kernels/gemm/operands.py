"""Loads of factors and stores of results, for the kernels of gemm.

A factor is a matrix with any strides. Its elements are read in groups of four along an axis: by
16-byte accesses if they are adjacent and aligned in every step, otherwise one by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Operand
from ..core.device import device, quad_loader
from ..core.hardware import REGISTERS, WARP
from ..core.index import at, u32
from ..core.integers import round_up

QUAD = 4  # elements of a group


def part_origin(part: tuple[int, int], across: int) -> Function:
    """`origin(number)`: the row and the column at which part `number` of a matrix begins.

    part: its rows and columns. across: parts beside each other.
    """
    rows, columns = part
    return device(lambda number: (number // across * rows, number % across * columns))


@device
def keep_quad(values: Any, i: Any, step: Any, four: Any) -> None:
    """Stores four values to values[i], values[i + step], and so on."""
    values[i] = four[0]
    values[i + step] = four[1]
    values[i + 2 * step] = four[2]
    values[i + 3 * step] = four[3]


def resident_blocks(threads: int, registers: int) -> int:
    """How many blocks fit in the registers of a multiprocessor, at most 16, the limit of the oldest
    GPU."""
    return max(1, min(16, REGISTERS // (registers * round_up(threads, WARP))))


class Problem(NamedTuple):
    """Sizes of a product and its dtype. a: (m, k), b: (k, n)."""

    m: int
    n: int
    k: int
    dtype: str

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return 4 if self.dtype == "float32" else 8


def problem(call: Call) -> Problem:
    """The product of a call of gemm."""
    a, b = call.inputs[:2]
    return Problem(a.shape[0], b.shape[1], a.shape[1], a.dtype)


def has_quads(operand: Operand, axis: int) -> bool:
    """Whether four elements along an axis, from a multiple of four on, can be read by 16-byte
    accesses: one for float32, two for float64."""
    lanes = 4 if operand.dtype == "float32" else 2
    other = operand.strides[1 - axis] if operand.shape[1 - axis] != 1 else 0
    return (
        operand.strides[axis] == 1
        and operand.shape[axis] % QUAD == 0
        and operand.alignment % 16 == 0
        and operand.base % lanes == 0
        and other % lanes == 0
    )


def quads(operand: Operand, number: int, axis: int) -> Function:
    """`load(p, row, column)`: four elements of operand `number` along an axis, from there on.

    Past the end of that axis they are other elements of the matrix. The other index must be inside.
    """
    place, load4 = at(operand), quad_loader(operand.dtype)
    length = operand.shape[axis]
    last, last_quad = max(0, length - 1), max(0, length - QUAD)

    if has_quads(operand, axis):

        @device
        def load(p: Any, row: Any, column: Any) -> Any:
            if axis == 0:
                return load4(p[number], place(min(row, last_quad), column))
            return load4(p[number], place(row, min(column, last_quad)))

    else:

        @device
        def one(p: Any, row: Any, column: Any, lane: Any) -> Any:
            if axis == 0:
                return p[number][place(min(row + lane, last), column)]
            return p[number][place(row, min(column + lane, last))]

        @device
        def load(p: Any, row: Any, column: Any) -> Any:
            x, y = one(p, row, column, u32(0)), one(p, row, column, u32(1))
            return x, y, one(p, row, column, u32(2)), one(p, row, column, u32(3))

    return load


class Sink(NamedTuple):
    """The destination of results: `settle(value, fetch(i, p), i, p)` for element i of the output,
    or for `lanes` elements from i on, as a tuple."""

    fetch: Function
    settle: Function
    lanes: int


def epilogue_sink(call: Call, shape: Problem, columns: int) -> Sink:
    """Through the epilogue to the output, by 16 bytes if a thread has enough adjacent columns."""
    lanes = 16 // shape.itemsize
    if columns % lanes == 0 and call.wide_settles[0] is not None:
        return Sink(call.wide_fetches[0], call.wide_settles[0], lanes)
    return Sink(call.fetches[0], call.settles[0], 1)


def block_results(shape: Problem, sink: Sink, rows: int, columns: int) -> tuple[Function, Function]:
    """Two functions that finish a thread's block of results at (row, column) of the output.

    `fetch(row, column, p)`: all inputs of the epilogue, before anything is stored. `settle(sums,
    fetched, row, column, p)`: epilogue and stores of sums[r * columns + c]; elements outside of the
    output are skipped.
    """
    parts = [(r, c) for r in range(rows) for c in range(0, columns, sink.lanes)]
    functions = _first(*_result(shape, sink, columns, parts[0]))
    for number, part in enumerate(parts[1:], 1):
        functions = _followed(functions, _result(shape, sink, columns, part), number)
    return functions


def _result(
    shape: Problem, sink: Sink, columns: int, part: tuple[int, int]
) -> tuple[Function, Function]:
    """`fetch` and `settle` of the elements (r, c) to (r, c + lanes - 1) of a thread's block."""
    take, give, lanes = sink
    down, along = part[0], part[1]
    m, n = shape.m, shape.n
    last_row, last_column = shape.m - 1, shape.n - lanes
    first = part[0] * columns + part[1]

    if lanes == 1:

        @device
        def values(sums: Any) -> Any:
            return sums[first]

    elif lanes == 2:

        @device
        def values(sums: Any) -> Any:
            return sums[first], sums[first + 1]

    else:

        @device
        def values(sums: Any) -> Any:
            return sums[first], sums[first + 1], sums[first + 2], sums[first + 3]

    @device
    def fetch(row: Any, column: Any, p: Any) -> Any:
        inside = min(row + down, last_row)
        return take(inside * n + min(column + along, last_column), p)

    @device
    def settle(sums: Any, fetched: Any, row: Any, column: Any, p: Any) -> None:
        i, j = row + down, column + along
        if i < m and j < n:
            give(values(sums), fetched, i * n + j, p)

    return fetch, settle


def _first(fetch_one: Function, settle_one: Function) -> tuple[Function, Function]:
    @device
    def fetch(row: Any, column: Any, p: Any) -> Any:
        return (fetch_one(row, column, p),)

    @device
    def settle(sums: Any, fetched: Any, row: Any, column: Any, p: Any) -> None:
        settle_one(sums, fetched[0], row, column, p)

    return fetch, settle


def _followed(
    before: tuple[Function, Function], last: tuple[Function, Function], number: int
) -> tuple[Function, Function]:
    """The pair `before`, followed by the pair `last`, which has the number `number`."""
    fetch_before, settle_before = before
    fetch_last, settle_last = last

    @device
    def fetch(row: Any, column: Any, p: Any) -> Any:
        one = (fetch_last(row, column, p),)
        return fetch_before(row, column, p) + one

    @device
    def settle(sums: Any, fetched: Any, row: Any, column: Any, p: Any) -> None:
        settle_before(sums, fetched, row, column, p)
        settle_last(sums, fetched[number], row, column, p)

    return fetch, settle
