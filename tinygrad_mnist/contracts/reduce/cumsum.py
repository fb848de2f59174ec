"""Cumulative sums along an axis.

    cumsum: x, float32, float64 or int64, of at least one dimension -> like x

An element of the result is the sum of x's elements up to and including it. params: axis; reverse,
whether the sums run from the end of the axis instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register


def cumsum_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """np.cumsum, for sums from the end between two flips."""
    axis = params["axis"]
    if not params["reverse"]:
        return [np.cumsum(inputs[0], axis=axis)]
    return [np.flip(np.cumsum(np.flip(inputs[0], axis), axis=axis), axis)]


def cumsum_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """One addition per element."""
    return inputs[0].size


CUMSUM = register(Contract("cumsum", cumsum_reference, cumsum_flops, ints=("axis", "reverse")))
