"""Host ops: the results of a node that NumPy computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.source import error_context
from tinygrad_mnist.graph.variables import Node


def run_on_host(node: Node, arrays: Sequence[Array]) -> list[Array]:
    """The results of a node of a host op for arrays of its inputs, C-contiguous and in its dtypes.

    The arrays are read-only meanwhile. An error gets the op's name and the user's lines.
    """
    assert node.op.host is not None
    views = [a.view() for a in arrays]
    for view in views:
        view.flags.writeable = False
    with error_context(node.op.name, *node.origins), np.errstate(all="ignore"):
        results: list[Any] = [np.asarray(r) for r in node.op.host(node.params, views)]
        for v, result in zip(node.outputs, results, strict=True):
            lengths = zip(v.type.shape, result.shape, strict=False)
            if result.ndim != v.ndim or any(n not in (None, m) for n, m in lengths):
                raise GraphTypeError(f"it gives the shape {result.shape} for {v.type}")
    return [
        np.ascontiguousarray(r, dtype=v.dtype).reshape(r.shape)
        for v, r in zip(node.outputs, results, strict=True)
    ]
