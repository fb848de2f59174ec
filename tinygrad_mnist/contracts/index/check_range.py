"""The check that indices and labels pass before anything is written.

    check_range: index of any shape and integer dtype -> nothing

Fails unless low <= i < high for every element: then no later call writes a shared variable, or uses
an index. params: low, high.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register


def check_range_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Raises IndexError with the first value that is out of range."""
    low, high = params["low"], params["high"]
    # int64: NumPy before 2.3 may crash where a uint8 array is compared with a negative integer.
    index = inputs[0].astype(np.int64)
    wrong = index[~((index >= low) & (index < high))]
    if wrong.size:
        raise IndexError(f"index {np.ravel(wrong)[0]} is out of range: {low} <= index < {high}")
    return []


def check_range_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """None in floating point."""
    return 0


CHECK_RANGE = register(
    Contract(
        "check_range", check_range_reference, check_range_flops, ints=("low", "high"), checks=True
    )
)
