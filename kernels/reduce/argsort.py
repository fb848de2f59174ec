"""argsort: the indices that put the elements along an axis into ascending order.

Shapes: x of any dtype and strides; int64, like x. Algorithm: a thread counts the elements of its
row that go before its own, which is the position at which it stores its index. Equal elements go by
their indices, and NaN comes after all numbers, so every position is taken once. The work grows with
the square of the length. Neighbouring threads have neighbouring elements of a row and read the
others together.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..core.axes import kept_and_reduced
from ..core.call import Call, Launches, factory
from ..core.device import device, int64
from ..core.each import each
from ..core.index import strided, u32


@factory("argsort")
def argsort(call: Call) -> Launches:
    """One launch."""
    x, axis = call.inputs[0], call.params["axis"]
    if x.size == 0:
        return Launches(())
    length, step = x.shape[axis], prod(x.shape[axis + 1 :])
    kept, _ = kept_and_reduced(x.shape, 1 << axis)
    first_of, at, store = strided(*kept), call.at[0], call.stores[0]

    def is_less(x: Any, y: Any) -> Any:
        return (x < y) | ((y != y) & (x == x))

    less = device(is_less)

    def element(number: Any, p: Any) -> None:
        row, own = divmod(number, length)
        first = first_of(row)
        value = p[0][at(first + own * step)]
        rank = u32(0)
        k = u32(0)
        while k < length:
            other = p[0][at(first + k * step)]
            equal_before = (k < own) & (not less(value, other))
            if less(other, value) | equal_before:
                rank = rank + 1
            k = k + 1
        store(int64(own), first + rank * step, p)

    return Launches((each(x.size, element),))
