"""Constant folding: the op's reference computes a result that depends only on constants."""

from __future__ import annotations

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, Params
from tinygrad_mnist.contracts.core.sizes import n_elements
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.source import error_context
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Constant, Node, Variable

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
        or not _is_fixed(node)
        or n_elements(variable.type.static_shape) > LIMIT
    ):
        return variable
    arrays = [v.value for v in node.inputs if isinstance(v, Constant)]
    with np.errstate(all="ignore"), error_context(node.op.name, *node.origins):
        (value,) = node.op.evaluate(node, arrays)
    constant = Constant(value)
    constant.type = variable.type
    return constant


def computed_constant(v: Variable) -> Array | None:
    """The value of what depends on constants alone; None for anything else."""
    values: dict[Variable, Array] = {v: v.value} if isinstance(v, Constant) else {}
    for node in toposort([v]):
        values.update({x: x.value for x in node.inputs if isinstance(x, Constant)})
        if node.op.reference is None or not all(x in values for x in node.inputs):
            return None
        arrays = [values[x] for x in node.inputs]
        with np.errstate(all="ignore"):
            values.update(zip(node.outputs, node.op.evaluate(node, arrays), strict=True))
    return values.get(v)


def _is_fixed(node: Node) -> bool:
    """Whether its slices start at the same elements in every call."""
    return all(region.is_fixed for region in _regions(node.params))


def _regions(params: Params) -> tuple[StaticSlice, ...]:
    """The slices among the parameters of a node."""
    return (*params.get("regions", ()), *([params["region"]] if "region" in params else []))
