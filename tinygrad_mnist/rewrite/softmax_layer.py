"""The softmax layer at the end of a network: four calls become one where a GPU has that kernel.

A product gives the logits, perhaps with a bias; `softmax_xent` the losses; `softmax_xent_grad` the
gradient of the logits; and a product with the same weights the gradient of what the layer reads.
At a small batch each takes less time than it takes to launch it, and each waits for the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.contracts.reduce.softmax_layer import fits
from tinygrad_mnist.graph.match import made_by
from tinygrad_mnist.graph.source import merged, on_behalf_of
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.fused import SOFTMAX_LAYER, SOFTMAX_XENT, SOFTMAX_XENT_GRAD
from tinygrad_mnist.ops.kernels import GEMM
from tinygrad_mnist.rewrite.engine import Context, identity, uses

_ADDED = [(Instruction("add", pair),) for pair in ((0, 1), (1, 0))]  # tapes of a bias


class _Layer(NamedTuple):
    """The nodes of a softmax layer, in the order in which they are computed.

    scores: the product that gives the logits. back: the one that gives the gradient.
    """

    scores: Node
    loss: Node
    gradient: Node
    back: Node


def fuse_softmax_layers(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """gemm(softmax_xent_grad(softmax_xent(gemm(x, w))), w.T), and all that is computed on the way,
    are results of one kernel."""
    current = list(outputs)
    while SOFTMAX_LAYER.name in context.kernels:
        counts = uses(current)
        layer = _find(current, counts)
        if layer is None:
            break
        context.fired["softmax_layer"] += 1
        current = substitute(current, _fused(layer, counts))
    return current


def _find(outputs: Sequence[Variable], counts: Mapping[Variable, int]) -> _Layer | None:
    for back in toposort(outputs):
        if back.op is not GEMM:
            continue
        gradient = made_by(back.inputs[0], SOFTMAX_XENT_GRAD.name)
        loss = gradient and made_by(gradient.inputs[0], SOFTMAX_XENT.name)
        scores = loss and made_by(loss.inputs[0], GEMM.name)
        if gradient and loss and scores:
            layer = _Layer(scores, loss, gradient, back)
            if _is_one_layer(layer) and counts[scores.outputs[0]] == 1 and _is_closed(layer):
                return layer
    return None


def _is_one_layer(layer: _Layer) -> bool:
    """Whether the nodes have the operands of one layer, which fits the kernel."""
    x, w = layer.scores.inputs[:2]
    (n, k), c = x.type.static_shape, w.type.static_shape[1]
    floats = (w, layer.scores.outputs[0], layer.gradient.inputs[2], layer.back.outputs[0])
    return (
        fits(n, k, c, np.dtype(x.dtype).itemsize)
        and all(v.dtype == x.dtype for v in floats)
        and _bias(layer.scores) is not None
        and layer.gradient.inputs[0] is layer.loss.outputs[1]
        and identity(layer.gradient.inputs[1]) == identity(layer.loss.inputs[1])
        and layer.gradient.params["epilogue"].is_identity
        and _is_transposed(w, layer.back.inputs[1])
    )


def _bias(scores: Node) -> Variable | None:
    """The bias (1, c) of the logits, zeros if they have none; None where something else is done to
    the product."""
    c = scores.outputs[0].type.static_shape[1]
    epilogue: Tape = scores.params["epilogue"]
    if epilogue.is_identity:
        return Constant(np.zeros((1, c), scores.outputs[0].dtype))
    bias = scores.inputs[-1]
    is_bias = len(scores.inputs) == 3 and bias.type.static_shape == (1, c)
    is_bias = is_bias and bias.dtype == scores.outputs[0].dtype
    return bias if is_bias and epilogue.instructions in _ADDED else None


def _is_transposed(w: Variable, other: Variable) -> bool:
    """Whether one of two matrices is the transpose of the other."""
    for matrix, transpose in ((w, other), (other, w)):
        node = made_by(transpose, "dimshuffle")
        if node and node.params["pattern"] == (1, 0) and node.inputs[0] is matrix:
            return True
    return False


def _is_closed(layer: _Layer) -> bool:
    """Whether no operand of the layer depends on one of its results, such as a gradient of a cost
    that isn't linear in the losses."""
    own = {layer.scores, layer.loss, layer.gradient}
    operands = [layer.gradient.inputs[2], *layer.back.inputs[2:]]
    return own.isdisjoint(toposort(operands))


def _fused(layer: _Layer, counts: Mapping[Variable, int]) -> dict[Variable, Variable]:
    """What the layer's results become. The probabilities are a result if something else reads
    them."""
    scores, loss, gradient, back = layer
    olds = [back.outputs[0], gradient.outputs[0], *loss.outputs]
    if counts[loss.outputs[1]] == 1:
        olds.pop()
    bias = _bias(scores)
    assert bias is not None
    operands = (*scores.inputs[:2], bias, loss.inputs[1], gradient.inputs[2], *back.inputs[2:])
    params = {"epilogue": back.params["epilogue"], "types": tuple(v.type for v in olds)}
    with on_behalf_of(merged(*(node.origins for node in layer))):
        fused = SOFTMAX_LAYER.rebuild(operands, params)
    for old, new in zip(olds, fused.outputs, strict=True):
        new.name = old.name
    return dict(zip(olds, fused.outputs, strict=True))
