"""Reductions, products of matrices, softmax."""

from __future__ import annotations

from string import ascii_letters

from tinygrad_mnist.graph.types import compute_dtype
from tinygrad_mnist.graph.variables import Node
from tinygrad_mnist.onnx.convert import Converter, rule
from tinygrad_mnist.onnx.graph import Value

_REDUCTIONS = {
    "sum": "ReduceSum",
    "prod": "ReduceProd",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "all": "ReduceMin",
    "any": "ReduceMax",
    "largest": "ReduceMax",
}


@rule(*_REDUCTIONS)
def _reduce(c: Converter, node: Node) -> list[Value]:
    """Integers are reduced in int64, as ONNX has no reductions of all others."""
    x, axes, dtype = c.value(node.inputs[0]), node.params["axes"], node.outputs[0].dtype
    x = c.graph.cast(x, compute_dtype(x.dtype))
    if axes:  # without axes ONNX would reduce all of them
        x = c.graph.call(_REDUCTIONS[node.op.name], x, c.graph.integers(axes), keepdims=1)
    return [c.graph.cast(x, dtype)]


@rule("argmax", "argmin")
def _index_of(c: Converter, node: Node) -> list[Value]:
    x = c.value(node.inputs[0])
    x = c.graph.cast(x, compute_dtype(x.dtype))
    operator = {"argmax": "ArgMax", "argmin": "ArgMin"}[node.op.name]
    axis = node.params["axis"]
    return [c.graph.call(operator, x, dtype="int64", axis=axis, keepdims=1, select_last_index=0)]


@rule("cumsum")
def _cumsum(c: Converter, node: Node) -> list[Value]:
    axis = c.graph.constant(node.params["axis"], "int64")
    reverse = int(node.params["reverse"])
    return [c.graph.call("CumSum", c.value(node.inputs[0]), axis, reverse=reverse)]


@rule("dot", "batched_dot")
def _matmul(c: Converter, node: Node) -> list[Value]:
    dtype = node.outputs[0].dtype
    operands = [c.graph.cast(v, compute_dtype(v.dtype)) for v in c.values(node.inputs)]
    return [c.graph.cast(c.graph.call("MatMul", *operands), dtype)]


@rule("tensordot")
def _tensordot(c: Converter, node: Node) -> list[Value]:
    """As a formula of Einstein's: axes that are summed over share a letter."""
    (a, b), (over_a, over_b) = node.inputs, node.params["axes"]
    left = list(ascii_letters[: a.ndim])
    right = list(ascii_letters[a.ndim : a.ndim + b.ndim])
    for i, j in zip(over_a, over_b, strict=True):
        right[j] = left[i]
    kept = [left[i] for i in range(a.ndim) if i not in over_a]
    kept += [right[j] for j in range(b.ndim) if j not in over_b]
    equation = f"{''.join(left)},{''.join(right)}->{''.join(kept)}"
    operands = [c.graph.cast(v, compute_dtype(v.dtype)) for v in c.values(node.inputs)]
    product = c.graph.call("Einsum", *operands, equation=equation)
    return [c.graph.cast(product, node.outputs[0].dtype)]


@rule("softmax", "log_softmax")
def _softmax(c: Converter, node: Node) -> list[Value]:
    return [_share(c, node, 1)]


@rule("share", "log_share")
def _share_along(c: Converter, node: Node) -> list[Value]:
    axes = node.params["axes"]
    return [_share(c, node, axes[0])] if len(axes) == 1 else c.lowered(node)


def _share(c: Converter, node: Node, axis: int) -> Value:
    operator = "LogSoftmax" if node.op.name.startswith("log") else "Softmax"
    return c.graph.call(operator, c.value(node.inputs[0]), axis=axis)
