"""Copies of tiles of gemm's factors to shared memory.

A tile is `width` rows of a, or columns of b, by `depth` terms. Threads load groups of four elements
to registers, and store them to shared memory later, so that loads run while the tile before is
multiplied. Terms past the end of k are zero. Rows and columns past the edge of the result repeat
others; their results are not stored.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Operand
from ..core.device import TYPES, device, store16
from ..core.index import thread_index
from ..core.integers import ceil_div
from .operands import QUAD, has_quads, keep_quad, quads


class Stage(NamedTuple):
    """A tile in shared memory.

    width, depth: rows of a or columns of b, and terms. threads: of the block. gap: elements between
    the terms of a tile, whose rows or columns are adjacent. gap_along: elements between the rows or
    columns of a tile whose terms are adjacent, for a factor that is loaded in this way; None if all
    tiles have the other layout. rounded: a function that rounds an element when it is stored to
    shared memory, or None.
    """

    width: int
    depth: int
    threads: int
    gap: int
    gap_along: int | None = None
    rounded: Function | None = None

    @property
    def quads(self) -> int:
        """Groups of four that a thread loads."""
        return ceil_div(self.width * self.depth, QUAD * self.threads)


class Factor(NamedTuple):
    """The tiles of a factor in shared memory.

    load: `load(p, first, term, values)` loads a thread's part of the tile at row or column `first`
    and at `term` to the local array `values`, of n_values elements. put: `put(shared, begin,
    values)` stores it to the tile in shared memory that begins at element `begin`. size: elements
    of a tile. line, term: distance of its rows of a or columns of b, and of its terms.
    """

    load: Function
    put: Function
    n_values: int
    size: int
    line: int
    term: int


def factor(call: Call, side: int, stage: Stage) -> Factor:
    """side: 0 of a, which is operand 0; 1 of b, operand 1."""
    operand, n_values = call.inputs[side], QUAD * stage.quads
    pitch = stage.width + stage.gap
    if _is_across(operand, side):
        line, term, size = 1, pitch, stage.depth * pitch
        return Factor(*_across(operand, side, stage, pitch), n_values, size, line, term)
    if stage.gap_along is None:
        line, term, size = 1, pitch, stage.depth * pitch
    else:
        line, term = stage.depth + stage.gap_along, 1
        size = stage.width * line
    return Factor(*_along(operand, side, stage, line, term), n_values, size, line, term)


def _is_across(operand: Operand, side: int) -> bool:
    """Whether a factor is loaded four rows of a, or columns of b, at once rather than four terms.

    side: the axis of rows or columns, 0 of a and 1 of b.
    """
    if has_quads(operand, side) or has_quads(operand, 1 - side):
        return has_quads(operand, side)
    return abs(operand.strides[side]) <= abs(operand.strides[1 - side])


def _line_quads(operand: Operand, side: int, axis: int) -> Function:
    """`load(p, line, term)`: four elements along an axis, of a row of a or a column of b."""
    load = quads(operand, side, axis)
    return load if side == 0 else device(lambda p, line, term: load(p, term, line))


def _across(operand: Operand, side: int, stage: Stage, pitch: int) -> tuple[Function, Function]:
    """Groups of rows or columns: neighbouring threads load neighbouring groups of a term."""
    load_quad, store_quad = _line_quads(operand, side, side), quad_storer(operand.dtype)
    per_term = stage.width // QUAD
    k, zero = operand.shape[1 - side], TYPES[operand.dtype](0)
    last, ragged = max(0, k - 1), k % stage.depth != 0

    @device
    def load(p: Any, first: Any, term: Any, number: Any, values: Any, i: Any) -> None:
        this = term + number // per_term
        begin = first + number % per_term * QUAD
        keep_quad(values, i, 1, load_quad(p, begin, min(this, last)))
        if ragged and this >= k:
            keep_quad(values, i, 1, (zero, zero, zero, zero))

    @device
    def put(shared: Any, begin: Any, number: Any, values: Any, i: Any) -> None:
        row = number // per_term * pitch
        column = number % per_term * QUAD
        four = values[i], values[i + 1], values[i + 2], values[i + 3]
        store_quad(shared, begin + row + column, four)

    return _all_quads(stage, load, put)


def _along(
    operand: Operand, side: int, stage: Stage, line: int, term: int
) -> tuple[Function, Function]:
    """Groups of terms: neighbouring threads load the groups of one row or column, then the next."""
    load_quad, store_quad = _line_quads(operand, side, 1 - side), quad_storer(operand.dtype)
    per_line, apart, further = stage.depth // QUAD, line, term
    length, k = operand.shape[side], operand.shape[1 - side]
    last, zero = length - 1, TYPES[operand.dtype](0)
    together, ragged = term == 1, k % stage.depth != 0

    @device
    def load(p: Any, first: Any, term: Any, number: Any, values: Any, i: Any) -> None:
        inside = min(first + number // per_line, last)
        this = term + number % per_line * QUAD
        keep_quad(values, i, 1, load_quad(p, inside, this))
        if ragged:
            for u in range(QUAD):
                if this + u >= k:
                    values[i + u] = zero

    @device
    def put(shared: Any, begin: Any, number: Any, values: Any, i: Any) -> None:
        this = number % per_line * QUAD
        place = begin + this * further + number // per_line * apart
        if together:
            four = values[i], values[i + 1], values[i + 2], values[i + 3]
            store_quad(shared, place, four)
        else:
            for u in range(QUAD):
                shared[place] = values[i + u]
                place = place + further

    return _all_quads(stage, load, put)


def _all_quads(stage: Stage, load_one: Function, put_one: Function) -> tuple[Function, Function]:
    """`load` and `put` of a factor, from those of group `number`, which a thread has in values[i]
    to values[i + 3]."""
    n_quads, threads, round_all = stage.quads, stage.threads, _rounder(stage)
    all_quads = stage.width * stage.depth // QUAD
    full = all_quads % threads == 0

    @device
    def load(p: Any, first: Any, term: Any, values: Any) -> None:
        for q in range(n_quads):
            number = thread_index() + q * threads
            if full or number < all_quads:
                load_one(p, first, term, number, values, q * QUAD)

    @device
    def put(shared: Any, begin: Any, values: Any) -> None:
        round_all(values)
        for q in range(n_quads):
            number = thread_index() + q * threads
            if full or number < all_quads:
                put_one(shared, begin, number, values, q * QUAD)

    return load, put


def _rounder(stage: Stage) -> Function:
    """`round_all(values)`: rounds the elements that a thread has loaded."""
    rounded, size = stage.rounded, QUAD * stage.quads
    if rounded is None:

        @device
        def round_all(values: Any) -> None:
            pass

    else:

        @device
        def round_all(values: Any) -> None:
            for i in range(size):
                values[i] = rounded(values[i])

    return round_all


def quad_storer(dtype: str) -> Function:
    """`store(p, i, values)`: stores four values to elements i to i + 3, by 16-byte accesses."""
    if dtype == "float32":

        @device
        def store(p: Any, i: Any, values: Any) -> None:
            store16(p, i, values)

    else:

        @device
        def store(p: Any, i: Any, values: Any) -> None:
            store16(p, i, (values[0], values[1]))
            store16(p, i + 2, (values[2], values[3]))

    return store
