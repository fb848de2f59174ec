"""The table of a network's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.network3.shapes import shape_of
from tinygrad_mnist.training.layers import params_of, shown_layer


def summary_of(
    layers: Sequence[Any], names: Sequence[str], x: Variable, size: int, pixels: int | None
) -> str:
    """A line per layer: its name, its arguments, the shape of its output for a mini-batch, and the
    number of its parameters; then their sum, in which those that layers share count once."""
    rows = [("layer", "output", "parameters", "made by")]
    distinct = {param for layer in layers for param in params_of(layer)}
    total = sum(param.host_array.size for param in distinct)
    for layer, name in zip(layers, names, strict=True):
        count = sum(param.host_array.size for param in params_of(layer))
        shape = None if pixels is None else shape_of(layer.output, x, size, pixels)
        rows.append((name, "?" if shape is None else str(shape), f"{count:,}", shown_layer(layer)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}  {made}"
        for name, shape, count, made in rows
    ]
    return "\n".join([*lines, f"{total:,} parameters, mini-batches of {size}"])
