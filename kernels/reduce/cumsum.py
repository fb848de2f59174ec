"""cumsum: the sums of the elements up to and including each one, along an axis.

Shapes: x, float32, float64 or int64, of any strides; like x.

Algorithm: a thread has one row along the axis and adds it up in order. If there are few long rows,
each is cut into parts, and a thread has one part: a first launch stores the sum of each part, a
second one adds the sums of the parts before, then the elements of the part. Neighbouring threads
have neighbouring rows. The cut depends on shapes alone.

Launch: a thread per row or part, see `each.py`. Reference: contracts/reduce/cumsum.py.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

from ..core.call import Call, Function, Launches, factory
from ..core.device import TYPES, device
from ..core.each import each
from ..core.index import u32
from ..core.integers import ceil_div
from .rows import Rows, rows_of

ENOUGH = 1 << 16  # rows that occupy a large GPU
SHORT = 128  # elements of a row that is not cut


@factory("cumsum")
def cumsum(call: Call) -> Launches:
    """One launch, or two."""
    x = call.inputs[0]
    if x.size == 0:
        return Launches(())
    rows = rows_of(x, call.params["axis"], call.params["reverse"])
    n_rows, length = rows.n, rows.length
    parts = _parts(n_rows, length)
    chunk = ceil_div(length, parts)
    parts = ceil_div(length, chunk)
    dtype, workspace = TYPES[x.dtype], len(call.inputs) + len(call.outputs)
    zero, store = dtype(-0.0), call.stores[0]  # -0.0 + x is x, also for x = -0.0

    def ignore(total: Any, i: Any, p: Any) -> None:
        pass

    def keep(total: Any, i: Any, p: Any) -> None:
        store(total, i, p)

    add_up = _running_sum(call, rows, chunk, device(ignore))
    add_and_keep = _running_sum(call, rows, chunk, device(keep))

    def whole_row(row: Any, p: Any) -> None:
        add_and_keep(zero, row, u32(0), p)

    def sum_of_part(number: Any, p: Any) -> None:
        part, row = divmod(number, n_rows)
        p[workspace][number] = add_up(zero, row, part, p)

    def part_of_row(number: Any, p: Any) -> None:
        part, row = divmod(number, n_rows)
        total = zero
        k = row
        while k < number:
            total = dtype(total + p[workspace][k])
            k = k + n_rows
        add_and_keep(total, row, part, p)

    if parts == 1:
        return Launches((each(n_rows, whole_row),))
    return Launches(
        (each(n_rows * (parts - 1), sum_of_part), each(n_rows * parts, part_of_row)),
        (x.dtype, n_rows * (parts - 1)),
    )


def _parts(n_rows: int, length: int) -> int:
    """How many parts a row is cut into: at most as many as make a part that long."""
    if length <= SHORT:
        return 1
    return max(1, min(isqrt(length), ENOUGH // n_rows))


def _running_sum(call: Call, rows: Rows, chunk: int, finish: Function) -> Function:
    """`add(total, row, part, p)`: adds the elements of a part to `total`, in order, and returns it.

    finish(total, i, p): called with each sum and the number of its element.
    """
    at, dtype, length, place = call.at[0], TYPES[call.inputs[0].dtype], rows.length, rows.element

    def add(total: Any, row: Any, part: Any, p: Any) -> Any:
        k = part * chunk
        end = min(k + chunk, length)
        while k < end:
            i = place(row, k)
            total = dtype(total + p[0][at(i)])
            finish(total, i, p)
            k = k + 1
        return total

    return device(add)
