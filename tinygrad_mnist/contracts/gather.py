"""Elements picked by index vectors.

    gather: x, k index vectors (n,) -> x[i0, ..., ik-1] (n, *x.shape[k:])

Indices have any integer dtype; negative ones count from the end; their range is checked before,
by check_range. params: n_index, the k above.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .base import Array, ArraySpec, Contract, Params, register


def gather_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """x[i0, ..., ik-1]."""
    return [np.asarray(inputs[0][tuple(i.astype(np.int64) for i in inputs[1:])])]


def gather_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """None: elements are moved."""
    return 0


GATHER = register(
    Contract("gather", gather_reference, gather_flops, ints=("n_index",), picked=(0,))
)
