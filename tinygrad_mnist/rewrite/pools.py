"""Pools: a max-pool joins the convolution before it, and its gradient the convolution's gradients.

Between the two there may be a bias per channel, and ReLU: `pool(relu(conv + b))`, the order of most
tutorials, uses the same kernels as `relu(pool(conv) + b)`. The kernel adds the bias before it
compares, since the addition rounds and may make unequal neighbours equal. ReLU moves behind the
pool: where a window's maximum is positive, the same positions win with ReLU as without; elsewhere
no gradient passes ReLU, so it doesn't matter who wins. Leaky ReLU rounds, so that other positions
would win; it moves where nobody asks who wins, since it never falls. Other activations stay where
they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Any, NamedTuple, TypeGuard

from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.graph.match import both_orders, constant_value, made_by
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node, Op, Variable
from tinygrad_mnist.ops.conv import CONV2D, CONV2D_GRAD_FILTER, CONV2D_GRAD_INPUT
from tinygrad_mnist.ops.fused import (
    CONV2D_BIAS_POOL,
    CONV2D_POOL,
    CONV2D_POOL_GRAD_FILTER,
    CONV2D_POOL_GRAD_INPUT,
)
from tinygrad_mnist.ops.kernels import REDUCE, REDUCTIONS, TAPE, plain_reduce
from tinygrad_mnist.ops.pool import POOL2D, POOL2D_GRAD
from tinygrad_mnist.ops.shape import dimshuffle, static_reshape
from tinygrad_mnist.rewrite.engine import Context, copied, rebuild

Readers = Mapping[Variable, Sequence[Node | None]]  # None: a result of the graph

_POSITIONS = 0b1100  # the axes of height and width, in a mask of axes
_GRADIENTS = {
    CONV2D_GRAD_INPUT: CONV2D_POOL_GRAD_INPUT,
    CONV2D_GRAD_FILTER: CONV2D_POOL_GRAD_FILTER,
}


def _readers(outputs: Sequence[Variable]) -> dict[Variable, list[Node | None]]:
    readers: dict[Variable, list[Node | None]] = {v: [None] for v in outputs}
    for node in toposort(outputs):
        for v in (*node.inputs, *node.outputs):
            readers.setdefault(v, [])
        for v in node.inputs:
            readers[v].append(node)
    return readers


def _whole_blocks(params: Any) -> bool:
    """Whether a pool's windows are blocks side by side, what doesn't fill one left out."""
    return bool(
        params["window"] == params["stride"]
        and params["padding"] == (0, 0)
        and params.get("ignore_border", True)
    )


def _unpools_blocks(node: Node | None) -> TypeGuard[Node]:
    """Whether a node is the gradient of a pool with such windows."""
    if node is None or node.op is not POOL2D_GRAD or not _whole_blocks(node.params):
        return False
    size = node.outputs[0].type.static_shape[2:]
    pooled = node.inputs[0].type.static_shape[2:]
    return all(p == n // w for p, n, w in zip(pooled, size, node.params["window"], strict=True))


class _Biased(NamedTuple):
    """A convolution, and the bias (1, O, 1, 1) that is added to it; None without one."""

    conv: Node
    bias: Variable | None

    @property
    def kernel(self) -> Op:
        """The kernel that pools it."""
        return CONV2D_POOL if self.bias is None else CONV2D_BIAS_POOL

    def operands(self) -> list[Variable]:
        """The kernel's inputs."""
        if self.bias is None:
            return list(self.conv.inputs)
        channels = static_reshape(self.bias, self.bias.type.static_shape[1:2], (False,))
        return [*self.conv.inputs, channels]


def _convolution(v: Variable) -> _Biased | None:
    """What `v` is, if it is a convolution, with or without a bias per channel."""
    if v.node is not None and v.node.op is CONV2D:
        return _Biased(v.node, None)
    for dense, bias in both_orders(node.inputs) if (node := made_by(v, "add")) else ():
        if (
            dense.node is not None
            and dense.node.op is CONV2D
            and dense.dtype == bias.dtype == v.dtype
            and bias.type.shape == (1, v.type.static_shape[1], 1, 1)
            and dense.type.shape == v.type.shape
        ):
            return _Biased(dense.node, bias)
    return None


def _poolable(v: Variable, params: Any, readers: Readers, context: Context) -> bool:
    """Whether `v` is a convolution that a pool with these parameters may join, if the pool alone
    reads `v`."""
    found = _convolution(v)
    return (
        found is not None
        and _whole_blocks(params)
        and (found.bias is None or len(readers[found.conv.outputs[0]]) == 1)
        and found.kernel.name in context.kernels
    )


# --- ReLU behind the pool -----------------------------------------------------------------------


class _Relu(NamedTuple):
    """A pool over ReLU, leaky or not, and what its gradients pass.

    z: what goes into ReLU. slopes: the nodes `switch(ReLU's slope, gradient of the pool, 0)`.
    """

    z: Variable
    slopes: tuple[Node, ...]


def move_relu(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """max_pool(relu(z)) is relu(max_pool(z)), and the slope is taken behind the pool, too, where z
    is a convolution, with or without a bias, that can then join the pool."""
    readers = _readers(outputs)
    moved: dict[Node, _Relu] = {}
    for node in toposort(outputs):
        if node.op is POOL2D and (relu := _movable(node, readers, context)) is not None:
            moved[node] = relu
    if not moved:
        return list(outputs)
    slopes = {slope for relu in moved.values() for slope in relu.slopes}
    pooled: dict[Variable, Variable] = {}  # by what is pooled: ReLU's input and its result
    fresh: dict[Variable, Variable] = {}

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable]:
        fresh.update(zip(node.inputs, inputs, strict=True))
        if node in moved:
            context.fired["relu_behind_pool2d"] += 1
            y, z = node.inputs[0], moved[node].z
            pool = POOL2D.rebuild([fresh[z]], node.params)
            pooled[z] = pool.outputs[0]
            (pooled[y],) = substitute(inputs, {fresh[z]: pooled[z]})
            return [pooled[y], *pool.outputs[1:]]
        if node in slopes:
            return [_slope_before_unpooling(node, inputs, pooled)]
        return copied(node, inputs).outputs

    return rebuild(outputs, emit)


def _slope_before_unpooling(
    node: Node, inputs: Sequence[Variable], pooled: Mapping[Variable, Variable]
) -> Variable:
    """switch(x > 0, pool2d_grad(g, winners), 0) is pool2d_grad(switch(max_pool(x) > 0, g, 0),
    winners): winners equal the maximum."""
    condition, unpool = node.inputs[0].node, inputs[1].node
    assert condition is not None
    assert unpool is not None
    x, zero = condition.inputs
    wins = condition.op.rebuild([pooled[x], zero], condition.params).outputs[0]
    g, winners = unpool.inputs
    masked = node.op.rebuild([wins, g, inputs[2]], node.params).outputs[0]
    return POOL2D_GRAD.rebuild([masked, winners], unpool.params).outputs[0]


def _movable(pool: Node, readers: Readers, context: Context) -> _Relu | None:
    """The ReLU before a pool, if it may move behind it."""
    y = pool.inputs[0]
    z = _under_relu(y)
    if z is None and not any(readers[winners] for winners in pool.outputs[1:]):
        z = _under_leaky_relu(y)
    if z is None or z.dtype != y.dtype or z.type.shape != y.type.shape:
        return None
    slopes = _slopes(pool, z, readers, context)
    if slopes is None or not _poolable(z, pool.params, readers, context):
        return None
    # All that reads z leads to the pool or is a slope, and so is all that reads what does.
    allowed = {pool, *(slope.inputs[0].node for slope in slopes)}
    for node in reversed(toposort([y], [z])):
        is_constant = constant_value(node.outputs[0]) is not None
        if not (is_constant or set(readers[node.outputs[0]]) <= allowed):
            return None
        allowed.add(node)
    return _Relu(z, slopes) if set(readers[z]) <= allowed else None


def _under_relu(y: Variable) -> Variable | None:
    """z, if y is max(0, z) or max(z, 0)."""
    node = made_by(y, "maximum")
    pairs = both_orders(node.inputs) if node else ()
    return next((z for z, bound in pairs if constant_value(bound) == 0), None)


def _under_leaky_relu(y: Variable) -> Variable | None:
    """z, if y is z * switch(z > 0, 1, switch(z < 0, slope, slope at 0)) with a positive slope."""
    product = made_by(y, "mul")
    for z, factor in both_orders(product.inputs) if product else ():
        outer = made_by(factor, "switch")
        inner = made_by(outer.inputs[2], "switch") if outer else None
        if outer is None or inner is None:
            continue
        slope, at_0 = (constant_value(v) for v in inner.inputs[1:])
        if (
            _compares_with_0(outer.inputs[0], "gt", z)
            and _compares_with_0(inner.inputs[0], "lt", z)
            and constant_value(outer.inputs[1]) == 1
            and slope is not None
            and at_0 is not None
            and 0 < slope < inf
            and isfinite(at_0)
        ):
            return z
    return None


def _compares_with_0(v: Variable, op: str, z: Variable) -> bool:
    node = made_by(v, op)
    return node is not None and node.inputs[0] is z and constant_value(node.inputs[1]) == 0


def _slopes(pool: Node, z: Variable, readers: Readers, context: Context) -> tuple[Node, ...] | None:
    """The nodes that multiply the pool's gradients by ReLU's slope; None where a gradient, or who
    wins, is used in another way."""
    slopes: list[Node] = []
    for unpool in readers[pool.outputs[1]] if len(pool.outputs) > 1 else ():
        if unpool is None or unpool.op is not POOL2D_GRAD:
            return None
        for slope in readers[unpool.outputs[0]]:
            if (
                slope is None
                or not _is_slope(slope, unpool, z, pool.inputs[0])
                or not all(_joins(r, slope.outputs[0], context) for r in readers[slope.outputs[0]])
            ):
                return None
            slopes.append(slope)
    if not all(set(readers[slope.inputs[0]]) <= set(slopes) for slope in slopes):
        return None
    return tuple(slopes)


def _is_slope(node: Node, unpool: Node, z: Variable, y: Variable) -> bool:
    """Whether a node is switch(y > 0, gradient of the pool, 0), or with z > 0 or z >= 0."""
    if node.op.name != "switch" or node.inputs[1] is not unpool.outputs[0]:
        return False
    condition = node.inputs[0]
    return constant_value(node.inputs[2]) == 0 and (
        _compares_with_0(condition, "gt", y)
        or _compares_with_0(condition, "gt", z)
        or _compares_with_0(condition, "ge", z)
    )


# --- what the kernels take in -------------------------------------------------------------------


def fuse_pools(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """conv2d then max-pool is one kernel, and so are their gradients; unread masks are dropped."""
    current = move_relu(outputs, context)
    readers = _readers(current)

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable]:
        if node.op is POOL2D:
            return _fuse_forward(node, inputs, readers, context)
        for v, new in zip(node.inputs, inputs, strict=True):
            if not _unpools_blocks(new.node) or not _joins(node, v, context):
                continue
            if node.op in _GRADIENTS:
                return [_gradient_at_winners(node, inputs, context)]
            if all(_joins(reader, v, context) for reader in readers[v]):
                return [_sum_at_winners(node, new.node, context)]
        return copied(node, inputs).outputs

    return rebuild(current, emit)


def _fuse_forward(
    node: Node, inputs: list[Variable], readers: Readers, context: Context
) -> Sequence[Variable]:
    winners = len(node.outputs) > 1 and len(readers[node.outputs[1]]) > 0
    types = tuple(v.type for v in node.outputs[: 1 + winners])
    alone = len(readers[node.inputs[0]]) == 1
    found = _convolution(inputs[0])
    if alone and found and _poolable(node.inputs[0], node.params, readers, context):
        context.fired["conv2d_then_pool2d"] += 1
        kept = {k: found.conv.params[k] for k in ("stride", "padding", "flip", "epilogue")}
        params = {**kept, "pool": node.params["window"], "types": types}
        results = found.kernel.rebuild(found.operands(), params).outputs
    else:
        results = POOL2D.rebuild(inputs, {**node.params, "winners": winners}).outputs
    return results if winners else [*results, *node.outputs[1:]]


def _joins(reader: Node | None, v: Variable, context: Context) -> bool:
    """Whether what reads `v` needs it at the winners only, if it is the gradient of a pool."""
    if reader is None:
        return False
    if reader.op in _GRADIENTS:
        return v is reader.inputs[1] and _GRADIENTS[reader.op].name in context.kernels
    return (
        reader.op is REDUCE
        and reader.params["op"] == REDUCTIONS.index("sum")
        and reader.params["axes_mask"] & _POSITIONS == _POSITIONS
        and reader.params["prologue"].is_identity
        and reader.params["epilogue"].is_identity
        and len(reader.inputs) == 1
        and v.ndim == 4
        and v.dtype == reader.params["dtype"]
    )


def _gradient_at_winners(node: Node, inputs: list[Variable], context: Context) -> Variable:
    """conv2d_grad_*(.., pool2d_grad(g, winners)) works at the winners only."""
    unpool = inputs[1].node
    assert unpool is not None
    context.fired[f"{node.op.name} of pool2d_grad"] += 1
    kept = {k: node.params[k] for k in ("stride", "padding", "flip", "epilogue")}
    params = {**kept, "pool": unpool.params["window"], "types": (node.outputs[0].type,)}
    return _GRADIENTS[node.op].rebuild([inputs[0], *unpool.inputs], params).outputs[0]


def _sum_at_winners(node: Node, unpool: Node, context: Context) -> Variable:
    """sum(pool2d_grad(g, winners)) is sum(g * the number of winners of each window)."""
    context.fired["sum of pool2d_grad"] += 1
    g, winners = unpool.inputs
    axes = [axis for axis in range(4) if node.params["axes_mask"] >> axis & 1]
    shape, broadcastable = winners.type.static_shape, winners.broadcastable
    if shape[4] == 1:
        winners = static_reshape(winners, shape[:4], broadcastable[:4])
    else:
        g, axes = dimshuffle(g, 0, 1, 2, 3, "x"), [*axes, 4]
    type = TensorType(g.dtype, broadcastable[: winners.ndim], winners.type.shape)
    times_ones = (Instruction("bit_count", (1,)), Instruction("mul", (0, 2)))
    tape = Tape(g.dtype, 2, times_ones, (3,))
    total = plain_reduce("sum", TAPE(g, winners, tape=tape, types=(type,)), axes, g.dtype)
    result = node.outputs[0].type
    return static_reshape(total, result.static_shape, result.broadcastable)
