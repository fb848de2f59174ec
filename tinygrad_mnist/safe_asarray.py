"""Theano's `theano.misc.safe_asarray`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.types import check_dtype


def _asarray(a: Any, dtype: Any, order: Literal["K", "A", "C", "F"] | None = None) -> Array:
    """`a` as an array of exactly this dtype, in this machine's byte order; 'floatX' is the
    configured one. Raises GraphTypeError for a dtype that isn't here."""
    return np.asarray(a, check_dtype(dtype), order)


__all__ = ["_asarray"]
