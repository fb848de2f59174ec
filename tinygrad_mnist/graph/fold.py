"""Constant folding: the op's reference computes a result that depends only on constants."""

from __future__ import annotations

import numpy as np

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.source import error_context
from tinygrad_mnist.graph.variables import Constant, Variable

LIMIT = 1024  # elements up to which a result is worth keeping


def fold(variable: Variable) -> Variable:
    """`variable` as a constant, if it depends only on constants and is small; else itself."""
    node = variable.node
    if (
        node is None
        or len(node.outputs) != 1
        or node.op.reference is None
        or not all(isinstance(v, Constant) for v in node.inputs)
        or not node.inputs
        or node.op.name == "static_broadcast"  # cheaper as one number with strides of 0
        or not all(p.is_fixed for p in _regions(node.params))
        or int(np.prod(variable.type.static_shape)) > LIMIT
    ):
        return variable
    arrays = [v.value for v in node.inputs if isinstance(v, Constant)]
    with np.errstate(all="ignore"), error_context(node.op.name, node.source):
        (value,) = node.op.evaluate(node, arrays)
    constant = Constant(value)
    constant.type = variable.type
    return constant


def _regions(params: Params) -> tuple[StaticSlice, ...]:
    """The slices among the parameters of a node."""
    return (*params.get("regions", ()), *([params["region"]] if "region" in params else []))
