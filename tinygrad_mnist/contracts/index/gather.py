"""Elements picked by index vectors.

    gather: x (outer, index, rest), k index vectors (n,) -> x[:, i0, ..., ik-1] (outer, n, rest)

x has the outer axes first, then one axis per vector. Indices have any integer dtype; negative ones
count from the end; their range is checked before, by check_range. params: n_index, the k above;
axis, the number of outer axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register


def index_of(params: Params, vectors: Sequence[Array]) -> tuple[slice | Array, ...]:
    """The index vectors behind the outer axes, as NumPy writes them."""
    outer = (slice(None),) * params["axis"]
    return (*outer, *(i.astype(np.int64) for i in vectors))


def gather_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """x[:, i0, ..., ik-1]."""
    return [np.asarray(inputs[0][index_of(params, inputs[1:])])]


def gather_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """None: elements are moved."""
    return 0


GATHER = register(
    Contract(
        "gather",
        gather_reference,
        gather_flops,
        ints=("n_index", "axis"),
        picked=(0,),
        indices=slice(1, None),
    )
)
