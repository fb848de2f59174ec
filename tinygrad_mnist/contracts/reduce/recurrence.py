"""Linear recurrences along an axis.

    recurrence: x and a, both float32, float64 or int64, of one shape with at least one dimension
        -> y, like x

y[0] is x[0], and y[k] is x[k] + a[k] * y[k - 1]. params: axis; reverse, whether it runs from the
end of the axis instead. Each product and each sum is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register


def recurrence_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Element by element along the axis, all rows at a time."""
    y = np.array(inputs[0])
    x, a = np.moveaxis(y, params["axis"], 0), np.moveaxis(inputs[1], params["axis"], 0)
    if params["reverse"]:
        x, a = x[::-1], a[::-1]
    for k in range(1, len(x)):
        x[k : k + 1] += a[k : k + 1] * x[k - 1 : k]
    return [y]


def recurrence_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """One product and one sum per element."""
    return 2 * inputs[0].size


RECURRENCE = register(
    Contract("recurrence", recurrence_reference, recurrence_flops, ints=("axis", "reverse"))
)
