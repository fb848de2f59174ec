"""Elements picked by index vectors, and its adjoint.

    gather: x, k index vectors (n,) -> x[i0, ..., ik-1] (n, *x.shape[k:])
    scatter_add: g (n, *rest), k index vectors (n,) -> zeros with out[i0, ..., ik-1] += g

Indices have any integer dtype; negative ones count from the end; their range is checked before,
by check_range. Duplicates are added in the order of n. params: n_index, the k above.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .base import Array, ArraySpec, Contract, Params, register


def _index(inputs: Sequence[Array]) -> tuple[Array, ...]:
    return tuple(i.astype(np.int64) for i in inputs)


def gather_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """x[i0, ..., ik-1]."""
    return [np.asarray(inputs[0][_index(inputs[1:])])]


def scatter_add_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Zeros, to which g is added at the indices."""
    total = np.zeros(outputs[0].shape, inputs[0].dtype)
    np.add.at(total, _index(inputs[1:]), inputs[0])
    return [total]


def gather_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """None: elements are moved."""
    return 0


def scatter_add_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """One addition per element of g."""
    return inputs[0].size


GATHER = register(
    Contract("gather", gather_reference, gather_flops, ints=("n_index",), picked=(0,))
)
SCATTER_ADD = register(
    Contract("scatter_add", scatter_add_reference, scatter_add_flops, ints=("n_index",))
)
