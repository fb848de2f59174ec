"""Rows added to, or stored in, the elements of an array that index vectors name.

    scatter_add: x (outer, index, rest), rows (outer, n, rest), k index vectors (n,)
        -> x, with x[:, i0, ..., ik-1] += rows
    scatter_set: the same -> x, with x[:, i0, ..., ik-1] = rows

The output is input 0 itself, the same view: it is written in place, and only the named elements
change. Indices have any integer dtype; negative ones count from the end; their range is checked
before, by check_range. Rows are taken in order: if an element is named twice, scatter_add adds both
rows to it, and scatter_set keeps the last. Adding bools is their logical or. params: n_index, the k
above; axis, the number of outer axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register
from .gather import index_of


def scatter_add_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """x, to which the rows are added."""
    x, rows, *vectors = inputs
    result = x.copy()
    place: Any = index_of(params, vectors)
    np.add.at(result, place, rows)
    return [result]


def scatter_set_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """x, in which the rows are stored, one after the other."""
    x, rows, *vectors = inputs
    result = x.copy()
    outer = (slice(None),) * params["axis"]
    for number in range(len(vectors[0])):
        place = (*outer, *(int(i[number]) for i in vectors))
        result[place] = rows[(*outer, number)]
    return [result]


def scatter_add_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """One addition per element of the rows."""
    return inputs[1].size


def scatter_set_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """None: elements are moved."""
    return 0


_INTS = ("n_index", "axis")
SCATTER_ADD = register(
    Contract(
        "scatter_add",
        scatter_add_reference,
        scatter_add_flops,
        _INTS,
        touched=1,
        indices=slice(2, None),
    )
)
SCATTER_SET = register(
    Contract(
        "scatter_set",
        scatter_set_reference,
        scatter_set_flops,
        _INTS,
        touched=1,
        indices=slice(2, None),
    )
)
