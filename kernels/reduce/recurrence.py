"""recurrence: y[0] = x[0], y[k] = x[k] + a[k] * y[k - 1] along an axis.

Shapes: x and a, float32, float64 or int64, of any strides; like x. Algorithm: a thread has one row
along the axis and computes it in order. Products and sums are rounded one by one, as on the CPU.
Neighbouring threads have neighbouring rows.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..core.axes import kept_and_reduced
from ..core.call import Call, Launches, factory
from ..core.device import TYPES, device, rounded
from ..core.each import each
from ..core.index import strided, u32


@factory("recurrence")
def recurrence(call: Call) -> Launches:
    """One launch."""
    x, axis, is_reversed = call.inputs[0], call.params["axis"], call.params["reverse"]
    if x.size == 0:
        return Launches(())
    length, step = x.shape[axis], prod(x.shape[axis + 1 :])
    kept, _ = kept_and_reduced(x.shape, 1 << axis)
    first_of, at_x, at_a = strided(*kept), call.at[0], call.at[1]
    store, dtype = call.stores[0], TYPES[x.dtype]
    add, multiply = _arithmetic(x.dtype)

    def row(number: Any, p: Any) -> None:
        first = first_of(number)
        y = dtype(0)
        k = u32(0)
        while k < length:
            entry = length - 1 - k if is_reversed else k
            i = first + entry * step
            term = p[0][at_x(i)]
            if k > 0:
                term = dtype(add(term, multiply(p[1][at_a(i)], y)))
            y = term
            store(y, i, p)
            k = k + 1

    return Launches((each(x.size // length, row),))


def _arithmetic(dtype: str) -> tuple[Any, Any]:
    """The sum and the product of two elements; those of integers wrap around."""
    if dtype in rounded:
        return rounded[dtype]["add"], rounded[dtype]["mul"]

    def add(x: Any, y: Any) -> Any:
        return x + y

    def multiply(x: Any, y: Any) -> Any:
        return x * y

    return device(add), device(multiply)
