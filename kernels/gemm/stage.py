"""Copies of tiles of gemm's factors to shared memory.

A tile is `width` rows of a, or columns of b, by `depth` terms. Threads load groups of four elements
to registers, and store them to shared memory later, so that loads run while the tile before is
multiplied. Terms past the end of k are zero. Rows and columns past the edge of the result repeat
others; their results are not stored.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Function, Operand
from ..core.device import TYPES, device, store16
from ..core.index import thread_index
from ..core.integers import ceil_div
from .operands import QUAD, has_quads, quads


class Stage(NamedTuple):
    """A tile in shared memory.

    width, depth: rows of a or columns of b, and terms. across: distance of terms, if four rows or
    columns are loaded together; these are adjacent. along: distance of rows or columns, if four
    terms are loaded together; with 0 the layout is that of the other case. threads: of the block.
    rounded: a function that rounds an element when it is stored to shared memory, or None.
    """

    width: int
    depth: int
    across: int
    along: int
    threads: int
    rounded: Function | None = None

    @property
    def quads(self) -> int:
        """Groups of four that a thread loads."""
        return ceil_div(self.width * self.depth, QUAD * self.threads)


def is_across(operand: Operand, side: int) -> bool:
    """Whether a factor is loaded four rows of a, or columns of b, at once rather than four terms.

    side: the axis of rows or columns, 0 of a and 1 of b.
    """
    if has_quads(operand, side) or has_quads(operand, 1 - side):
        return has_quads(operand, side)
    return abs(operand.strides[side]) <= abs(operand.strides[1 - side])


def stager(operand: Operand, side: int, stage: Stage) -> tuple[Function, Function]:
    """`load(p, first, term, values)`: loads a thread's part of the tile at row or column `first`
    and at `term` to the local array `values`. `put(shared, begin, values)`: stores it to the tile
    in shared memory that begins at element `begin`.

    side: 0 of a, which is operand 0; 1 of b, operand 1.
    """
    if is_across(operand, side):
        return _across(operand, side, stage)
    return _along(operand, side, stage)


def keep_quad(values: Any, place: Any, four: Any) -> None:
    """Stores four values to values[place] to values[place + 3]."""
    values[place] = four[0]
    values[place + 1] = four[1]
    values[place + 2] = four[2]
    values[place + 3] = four[3]


def _across(operand: Operand, side: int, stage: Stage) -> tuple[Function, Function]:
    """Groups of rows or columns: neighbouring threads load neighbouring groups of a term."""
    load_quad, keep = quads(operand, side, side), device(keep_quad)
    store_quad, round_all = quad_storer(operand.dtype), _rounder(stage)
    per_term = stage.width // QUAD
    all_quads = stage.width // QUAD * stage.depth
    n_quads, threads, apart = stage.quads, stage.threads, stage.across
    full = all_quads % threads == 0
    k, zero = operand.shape[1 - side], TYPES[operand.dtype](0)
    last, ragged = max(0, k - 1), k % stage.depth != 0
    limit = k

    @device
    def load(p: Any, first: Any, term: Any, values: Any) -> None:
        for q in range(n_quads):
            number = thread_index() + q * threads
            if full or number < all_quads:
                this = term + number // per_term
                begin = first + number % per_term * QUAD
                inside = min(this, last)
                if side == 0:
                    keep(values, q * QUAD, load_quad(p, begin, inside))
                else:
                    keep(values, q * QUAD, load_quad(p, inside, begin))
                if ragged and this >= limit:
                    keep(values, q * QUAD, (zero, zero, zero, zero))

    @device
    def put(shared: Any, begin: Any, values: Any) -> None:
        round_all(values)
        for q in range(n_quads):
            number = thread_index() + q * threads
            if full or number < all_quads:
                row = number // per_term * apart
                column = number % per_term * QUAD
                i = q * QUAD
                four = values[i], values[i + 1], values[i + 2], values[i + 3]
                store_quad(shared, begin + row + column, four)

    return load, put


def _along(operand: Operand, side: int, stage: Stage) -> tuple[Function, Function]:
    """Groups of terms: neighbouring threads load the groups of one row or column, then the next."""
    load_quad, keep = quads(operand, side, 1 - side), device(keep_quad)
    store_quad, round_all = quad_storer(operand.dtype), _rounder(stage)
    per_line = stage.depth // QUAD
    all_quads = stage.depth // QUAD * stage.width
    n_quads, threads = stage.quads, stage.threads
    apart, along = stage.across, stage.along
    full, together = all_quads % threads == 0, stage.along != 0
    length, k = operand.shape[side], operand.shape[1 - side]
    last, limit, zero = length - 1, k, TYPES[operand.dtype](0)
    ragged = k % stage.depth != 0

    @device
    def load(p: Any, first: Any, term: Any, values: Any) -> None:
        for q in range(n_quads):
            number = thread_index() + q * threads
            if full or number < all_quads:
                line = min(first + number // per_line, last)
                this = term + number % per_line * QUAD
                if side == 0:
                    keep(values, q * QUAD, load_quad(p, line, this))
                else:
                    keep(values, q * QUAD, load_quad(p, this, line))
                if ragged:
                    for u in range(QUAD):
                        if this + u >= limit:
                            values[q * QUAD + u] = zero

    @device
    def put(shared: Any, begin: Any, values: Any) -> None:
        round_all(values)
        for q in range(n_quads):
            number = thread_index() + q * threads
            if full or number < all_quads:
                line = number // per_line
                this = number % per_line * QUAD
                i = q * QUAD
                if together:
                    place = begin + line * along + this
                    four = values[i], values[i + 1], values[i + 2], values[i + 3]
                    store_quad(shared, place, four)
                else:
                    place = begin + this * apart + line
                    for u in range(QUAD):
                        shared[place] = values[i + u]
                        place = place + apart

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
