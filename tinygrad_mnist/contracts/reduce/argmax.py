"""Index of the greatest or the least element along an axis.

    argmax, argmin: x of any dtype -> int64, with size 1 along the axis

The first of equal ones; NaN comes before any number. params: axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register


def argmax_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """np.argmax, the axis kept."""
    return [np.argmax(inputs[0], axis=params["axis"], keepdims=True).astype(np.int64)]


def argmin_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """np.argmin, the axis kept."""
    return [np.argmin(inputs[0], axis=params["axis"], keepdims=True).astype(np.int64)]


def argmax_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """One comparison per element."""
    return inputs[0].size


ARGMAX = register(Contract("argmax", argmax_reference, argmax_flops, ints=("axis",)))
ARGMIN = register(Contract("argmin", argmin_reference, argmax_flops, ints=("axis",)))
