"""The order of the elements along an axis.

    argsort: x of any dtype, of at least one dimension -> int64, like x

The indices that put x into ascending order. Equal elements keep their order, 0.0 equals -0.0, and
NaN comes after all numbers. params: axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register


def argsort_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """np.argsort of the stable kind."""
    return [np.argsort(inputs[0], axis=params["axis"], kind="stable").astype(np.int64)]


def argsort_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """One comparison per element and pass of a merge sort."""
    return inputs[0].size * max(inputs[0].shape[params["axis"]] - 1, 0).bit_length()


ARGSORT = register(Contract("argsort", argsort_reference, argsort_flops, ints=("axis",)))
