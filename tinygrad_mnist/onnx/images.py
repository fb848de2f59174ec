"""Convolutions and pools."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.contracts.pool2d.average_pool2d import INSIDE, SUM
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.onnx.convert import Converter, rule, unsupported
from tinygrad_mnist.onnx.graph import Value
from tinygrad_mnist.ops.conv import Pair, padding_of
from tinygrad_mnist.ops.pool import pooled_type

_UNKNOWN = "whose size is not known; give it by lengths="


def _filters(c: Converter, w: Variable, flip: int) -> Value:
    """The filters of a cross-correlation, which ONNX's convolution is."""
    value = c.value(w)
    if not flip:
        return value
    if value.array is not None:
        return c.graph.constant(value.array[:, :, ::-1, ::-1], value.dtype, f"{value.name}.flipped")
    ends = [c.graph.integers([n, n]) for n in (-1, -(2**63))]
    axes, steps = c.graph.integers([2, 3]), c.graph.integers([-1, -1])
    return c.graph.call("Slice", value, *ends, axes, steps)


def _extent(node: Node, w: Variable) -> Pair | None:
    """Rows and columns of a filter with the gaps between its elements; None if not known."""
    rows, columns = (
        None if n is None else (n - 1) * d + 1
        for n, d in zip(w.type.shape[2:], node.params.get("dilation", (1, 1)), strict=True)
    )
    return None if rows is None or columns is None else (rows, columns)


def _padding(node: Node, w: Variable) -> Pair:
    border, extent = node.params["padding"], _extent(node, w)
    if extent is None and border in ("half", "full"):
        raise unsupported(node, f"the padding depends on filters {_UNKNOWN}")
    return padding_of(border, extent or (1, 1))


def _geometry(node: Node, w: Variable) -> dict[str, Any]:
    """The attributes of a convolution, without those that have their default."""
    params, pads = node.params, _padding(node, w)
    attributes = {
        "strides": (params["stride"], (1, 1)),
        "pads": ((*pads, *pads), (0, 0, 0, 0)),
        "dilations": (params.get("dilation", (1, 1)), (1, 1)),
        "group": (params.get("groups", 1), 1),
    }
    return {name: value for name, (value, default) in attributes.items() if value != default}


@rule("conv2d", "conv2d_of")
def _conv2d(c: Converter, node: Node) -> list[Value]:
    x, w = node.inputs
    filters = _filters(c, w, node.params["flip"])
    return [c.graph.call("Conv", c.value(x), filters, **_geometry(node, w))]


@rule("conv2d_grad_input_of")
def _conv_transpose(c: Converter, node: Node) -> list[Value]:
    """The gradient of a convolution's images, which is a transposed convolution. The last rows and
    columns may lie in no window; ONNX counts them as output padding."""
    w, g, x = node.inputs
    size, extent = x.type.shape[2:], _extent(node, w)
    if extent is None or None in size:
        raise unsupported(node, f"it depends on images or filters {_UNKNOWN}")
    left = tuple(
        (n + 2 * p - k) % s
        for n, p, k, s in zip(size, _padding(node, w), extent, node.params["stride"], strict=True)
        if n is not None
    )
    operands = c.value(g), _filters(c, w, node.params["flip"])
    return [c.graph.call("ConvTranspose", *operands, **_geometry(node, w), output_padding=left)]


# --- pools ----------------------------------------------------------------------------------------


def _windows(node: Node) -> dict[str, Any]:
    """The attributes of a pool. Where windows that are not whole count, the padding behind the
    image is what the last window lacks; where its size isn't known, ONNX rounds up."""
    (x,), params = node.inputs, node.params
    attributes: dict[str, Any] = {
        "kernel_shape": params["window"],
        "strides": params["stride"],
    }
    before, behind = params["padding"], list(params["padding"])
    for axis in (0, 1):
        n, k, s = x.type.shape[2 + axis], params["window"][axis], params["stride"][axis]
        if params["ignore_border"] and "pooled" not in params:
            continue
        if n is not None:
            count = pooled_type(params, x.type).shape[2 + axis] or 0
            behind[axis] = max(0, (count - 1) * s + k - n - before[axis])
        elif s > k or "pooled" in params:
            raise unsupported(node, f"its windows depend on images {_UNKNOWN}")
        else:
            attributes["ceil_mode"] = 1
    if any((*before, *behind)):
        attributes["pads"] = (*before, *behind)
    return attributes


@rule("pool2d")
def _max_pool(c: Converter, node: Node) -> list[Value | None]:
    """The second result, a mask of winners, is only for gradients."""
    pooled = c.graph.call("MaxPool", c.value(node.inputs[0]), **_windows(node))
    return [pooled, *(None for _ in node.outputs[1:])]


@rule("average_pool2d")
def _average_pool(c: Converter, node: Node) -> list[Value]:
    count, attributes = node.params["count"], _windows(node)
    # A window that is not whole is divided by what it has inside the image.
    is_inside = count == INSIDE or (count != SUM and not node.params["ignore_border"])
    if count == SUM and attributes.get("ceil_mode"):
        raise unsupported(node, f"sums over windows that are not whole are over images {_UNKNOWN}")
    include = int(not is_inside)
    x = c.value(node.inputs[0])
    pooled = c.graph.call("AveragePool", x, **attributes, count_include_pad=include)
    if count == SUM:
        rows, columns = node.params["window"]
        pooled = c.graph.call("Mul", pooled, c.graph.number(rows * columns, pooled))
    return [pooled]
