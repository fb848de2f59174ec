"""argsort: the indices that put the elements along an axis into ascending order.

Shapes: x of any dtype and strides; int64, like x.

Algorithm: a thread counts the elements of its row that go before its own, which is the position at
which it stores its index. Equal elements go by their indices, and NaN comes after all numbers, so
every position is taken once. The work grows with the square of the length. Neighbouring threads
have neighbouring elements of a row and read the others together.

Launch: a thread per element, see `each.py`. Reference: contracts/reduce/argsort.py; results are
exact.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Launches, factory
from ..core.device import device, int64
from ..core.each import each
from ..core.index import u32
from .rows import rows_of


@factory("argsort")
def argsort(call: Call) -> Launches:
    """One launch."""
    x = call.inputs[0]
    if x.size == 0:
        return Launches(())
    _, length, place = rows_of(x, call.params["axis"])
    at, store = call.at[0], call.stores[0]

    def is_less(x: Any, y: Any) -> Any:
        return (x < y) | ((y != y) & (x == x))

    less = device(is_less)

    def element(number: Any, p: Any) -> None:
        row, own = divmod(number, length)
        value = p[0][at(place(row, own))]
        rank = u32(0)
        k = u32(0)
        while k < length:
            other = p[0][at(place(row, k))]
            equal_before = (k < own) & (not less(value, other))
            if less(other, value) | equal_before:
                rank = rank + 1
            k = k + 1
        store(int64(own), place(row, rank), p)

    return Launches((each(x.size, element),))
