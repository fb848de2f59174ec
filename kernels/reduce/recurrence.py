"""recurrence: y[0] = x[0], y[k] = x[k] + a[k] * y[k - 1] along an axis.

Shapes: x and a, float32, float64 or int64, of any strides; like x.

Algorithm: a thread has one row along the axis and computes it in order. Products and sums are
rounded one by one, as on the CPU. Neighbouring threads have neighbouring rows.

Launch: a thread per row, see `each.py`. Reference: contracts/reduce/recurrence.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Launches, factory
from ..core.device import TYPES, device, rounded
from ..core.each import each
from ..core.index import u32
from .rows import rows_of


@factory("recurrence")
def recurrence(call: Call) -> Launches:
    """One launch."""
    x = call.inputs[0]
    if x.size == 0:
        return Launches(())
    n, length, place = rows_of(x, call.params["axis"], call.params["reverse"])
    at_x, at_a = call.at[:2]
    store, dtype = call.stores[0], TYPES[x.dtype]
    add, multiply = _arithmetic(x.dtype)

    def row(number: Any, p: Any) -> None:
        y = dtype(0)
        k = u32(0)
        while k < length:
            i = place(number, k)
            term = p[0][at_x(i)]
            if k > 0:
                term = dtype(add(term, multiply(p[1][at_a(i)], y)))
            y = term
            store(y, i, p)
            k = k + 1

    return Launches((each(n, row),))


def _arithmetic(dtype: str) -> tuple[Any, Any]:
    """The sum and the product of two elements; those of integers wrap around."""
    if dtype in rounded:
        return rounded[dtype]["add"], rounded[dtype]["mul"]

    def add(x: Any, y: Any) -> Any:
        return x + y

    def multiply(x: Any, y: Any) -> Any:
        return x * y

    return device(add), device(multiply)
