"""Pools: a max-pool joins the convolution before it, and its gradient the convolution's gradients.

Between the two there may be a bias, and ReLU: `pool(relu(conv + b))`, the order of most tutorials,
uses the same kernels as `relu(pool(conv) + b)`. The kernel adds the bias before it compares, since
the addition rounds and may make unequal neighbours equal. ReLU moves behind the pool: where a
window's maximum is positive, the same positions win with ReLU as without, and the same one is the
first of them; elsewhere no gradient passes ReLU, so it doesn't matter who wins. Other steps round,
so that other positions would win. Without gradients that doesn't matter: then all steps that are
monotone move (see `monotone`). Where they fall, as a batch normalisation with a negative scale
does, the smallest number is wanted: it is the largest one of the negative filters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.graph.match import both_orders, constant_value, made_by
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node, Op, Variable
from tinygrad_mnist.ops.conv import CONV2D, CONV2D_GRAD_FILTER, CONV2D_GRAD_INPUT
from tinygrad_mnist.ops.elementwise import add, mul
from tinygrad_mnist.ops.fused import (
    CONV2D_BIAS_POOL,
    CONV2D_POOL,
    CONV2D_POOL_GRAD_FILTER,
    CONV2D_POOL_GRAD_INPUT,
)
from tinygrad_mnist.ops.kernels import REDUCE, REDUCTIONS, TAPE, plain_reduce
from tinygrad_mnist.ops.pool import POOL2D, POOL2D_GRAD
from tinygrad_mnist.ops.shape import dimshuffle, static_broadcast, static_reshape
from tinygrad_mnist.rewrite.engine import Context, copied, rebuild
from tinygrad_mnist.rewrite.monotone import Chain, Trend, compares_with_0

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


def _whole_blocks(params: Any, size: Sequence[int], pooled: Sequence[int]) -> bool:
    """Whether a pool's windows are blocks side by side, all of them whole, and what doesn't fill
    one is left out. A single window has no stride."""
    axes = zip(size, pooled, params["window"], params["stride"], strict=True)
    return params["padding"] == (0, 0) and all(
        p == n // window and (stride == window or p == 1) for n, p, window, stride in axes
    )


def _pools_blocks(node: Node) -> bool:
    """Whether a pool has such windows."""
    size, pooled = node.inputs[0].type.static_shape, node.outputs[0].type.static_shape
    return _whole_blocks(node.params, size[2:], pooled[2:])


def _unpools_blocks(node: Node | None) -> TypeGuard[Node]:
    """Whether a node is the gradient of a pool with such windows."""
    if node is None or node.op is not POOL2D_GRAD:
        return False
    size, pooled = node.outputs[0].type.static_shape, node.inputs[0].type.static_shape
    return _whole_blocks(node.params, size[2:], pooled[2:])


class _Biased(NamedTuple):
    """A convolution, and the bias, (1, O, 1, 1) or of one number, that is added to it; None
    without one."""

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
        n = self.bias.type.static_shape[1]
        channels = static_reshape(self.bias, (n,), (n == 1,))
        filters = self.conv.inputs[1].type.static_shape[0]
        return [*self.conv.inputs, static_broadcast(channels, (filters,))]

    def times(self, sign: Variable | int) -> Variable:
        """The sum with the filters, and the bias, times a sign of each: 1, -1 or 0."""
        x, w = self.conv.inputs
        per_filter = dimshuffle(sign, 1, 0, 2, 3) if isinstance(sign, Variable) else sign
        w = mul(w, per_filter)
        dense = CONV2D.rebuild([x, w], self.conv.params).outputs[0]
        return dense if self.bias is None else add(dense, mul(self.bias, sign))


def _convolution(v: Variable) -> _Biased | None:
    """What `v` is, if it is a convolution, with or without a bias."""
    if v.node is not None and v.node.op is CONV2D:
        return _Biased(v.node, None)
    for dense, bias in both_orders(node.inputs) if (node := made_by(v, "add")) else ():
        if (
            dense.node is not None
            and dense.node.op is CONV2D
            and dense.dtype == bias.dtype == v.dtype
            and bias.type.shape in ((1, v.type.static_shape[1], 1, 1), (1, 1, 1, 1))
            and dense.type.shape == v.type.shape
        ):
            return _Biased(dense.node, bias)
    return None


def _poolable(v: Variable, readers: Readers, context: Context) -> bool:
    """Whether `v` is a convolution that a pool may join, if the pool alone reads `v`."""
    found = _convolution(v)
    return (
        found is not None
        and (found.bias is None or len(readers[found.conv.outputs[0]]) == 1)
        and found.kernel.name in context.kernels
    )


# --- activations behind the pool ----------------------------------------------------------------


class _Moved(NamedTuple):
    """What stands between a pool and a convolution and moves behind the pool.

    z: the convolution, with or without a bias. slopes: the nodes `switch(ReLU's slope, gradient of
    the pool, 0)`. trend: how what moves depends on z.
    """

    z: Variable
    slopes: tuple[Node, ...] = ()
    trend: Trend = Trend()


def move_activations(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """max_pool(f(z)) is f(max_pool(z)) for ReLU, whose slope is taken behind the pool, too; and for
    all that rises, without gradients. For what falls it is f(-max_pool(-z))."""
    readers = _readers(outputs)
    moved: dict[Node, _Moved] = {}
    for node in toposort(outputs):
        if node.op is POOL2D and (found := _movable(node, readers, context)) is not None:
            moved[node] = found
    if not moved:
        return list(outputs)
    slopes = {slope for found in moved.values() for slope in found.slopes}
    pooled: dict[Variable, Variable] = {}  # by what is pooled: ReLU's input and its result
    fresh: dict[Variable, Variable] = {}

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable]:
        fresh.update(zip(node.inputs, inputs, strict=True))
        if node in moved:
            context.fired["relu_behind_pool2d"] += 1
            y, (z, _, trend) = node.inputs[0], moved[node]
            pool, pooled[z] = _directed_pool(node, fresh[z], trend.direction(fresh))
            (pooled[y],) = substitute(inputs, {fresh[z]: pooled[z]})
            return [pooled[y], *pool.outputs[1:]]
        if node in slopes:
            return [_slope_before_unpooling(node, inputs, pooled)]
        return copied(node, inputs).outputs

    return rebuild(outputs, emit)


def _directed_pool(node: Node, z: Variable, direction: Variable | int) -> tuple[Node, Variable]:
    """The pool of z, and its largest numbers; or the smallest, where the direction is -1."""
    if isinstance(direction, int) and direction == 1:
        pool = POOL2D.rebuild([z], node.params)
        return pool, pool.outputs[0]
    found = _convolution(z)
    assert found is not None
    pool = POOL2D.rebuild([found.times(direction)], node.params)
    return pool, mul(pool.outputs[0], direction)


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


def _movable(pool: Node, readers: Readers, context: Context) -> _Moved | None:
    """What may move behind a pool; None where nothing does, or nothing is there."""
    if not _pools_blocks(pool):
        return None
    y = pool.inputs[0]
    found = _relu(pool, readers, context)
    if found is None and not any(readers[winners] for winners in pool.outputs[1:]):
        chain = Chain(y, lambda v: _convolution(v) is not None, context.rising)
        if chain.base is not None and chain.trend is not None:
            found = _Moved(chain.base, (), chain.trend)
    if found is None or found.z is y or not _poolable(found.z, readers, context):
        return None
    return found if _is_read_only_by(pool, found, readers) else None


def _is_read_only_by(pool: Node, found: _Moved, readers: Readers) -> bool:
    """Whether all that depends on z, up to the pool, is elementwise and leads to the pool or a
    slope only."""
    y, z = pool.inputs[0], found.z
    between, of_z = [], {z}
    for node in toposort([y], [z]):
        if not of_z.isdisjoint(node.inputs):
            of_z.update(node.outputs)
            between.append(node)
    allowed = {pool, *(slope.inputs[0].node for slope in found.slopes)}
    for node in reversed(between):
        (v,) = node.outputs
        is_dense = node.op.tape_op is not None and v.type.shape == z.type.shape
        if not (is_dense and set(readers[v]) <= allowed):
            return False
        allowed.add(node)
    return set(readers[z]) <= allowed


def _relu(pool: Node, readers: Readers, context: Context) -> _Moved | None:
    """The ReLU before a pool, if its gradients may move with it."""
    y = pool.inputs[0]
    z = _under_relu(y)
    if z is None or z.dtype != y.dtype or z.type.shape != y.type.shape:
        return None
    slopes = _slopes(pool, z, readers, context)
    return None if slopes is None or _convolution(z) is None else _Moved(z, slopes)


def _under_relu(y: Variable) -> Variable | None:
    """z, if y is max(0, z) or max(z, 0)."""
    node = made_by(y, "maximum")
    pairs = both_orders(node.inputs) if node else ()
    return next((z for z, bound in pairs if constant_value(bound) == 0), None)


def _slopes(pool: Node, z: Variable, readers: Readers, context: Context) -> tuple[Node, ...] | None:
    """The nodes that multiply the pool's gradients by ReLU's slope; None where a gradient, or who
    wins, is used in another way."""
    slopes: list[Node] = []
    for unpool in readers[pool.outputs[1]]:
        if unpool is None or unpool.op is not POOL2D_GRAD:
            return None
        for slope in readers[unpool.outputs[0]]:
            if (
                slope is None
                or not _is_slope(slope, unpool, z, pool)
                or not all(_joins(r, slope.outputs[0], context) for r in readers[slope.outputs[0]])
            ):
                return None
            slopes.append(slope)
    if not all(set(readers[slope.inputs[0]]) <= set(slopes) for slope in slopes):
        return None
    return tuple(slopes)


def _keeps_first(pool: Node) -> bool:
    """Whether the first winner of a window alone gets the gradient."""
    return bool(pool.params.get("first"))


def _is_slope(node: Node, unpool: Node, z: Variable, pool: Node) -> bool:
    """Whether a node is switch(y > 0, gradient of the pool, 0), or with z > 0. Or with z >= 0, if
    all winners get the gradient: the first zero of ReLU's result need not be one of z."""
    if node.op.name != "switch" or node.inputs[1] is not unpool.outputs[0]:
        return False
    condition, y = node.inputs[0], pool.inputs[0]
    return constant_value(node.inputs[2]) == 0 and (
        compares_with_0(condition, "gt", y)
        or compares_with_0(condition, "gt", z)
        or (compares_with_0(condition, "ge", z) and not _keeps_first(pool))
    )


# --- what the kernels take in -------------------------------------------------------------------


def fuse_pools(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """conv2d then max-pool is one kernel, and so are their gradients; unread masks are dropped."""
    current = move_activations(outputs, context)
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
    winners = len(readers[node.outputs[1]]) > 0
    types = tuple(v.type for v in node.outputs[: 1 + winners])
    first = {"first": 1} if winners and _keeps_first(node) else {}
    alone = len(readers[node.inputs[0]]) == 1
    found = _convolution(inputs[0])
    if alone and found and _pools_blocks(node) and _poolable(node.inputs[0], readers, context):
        context.fired["conv2d_then_pool2d"] += 1
        kept = {k: found.conv.params[k] for k in ("stride", "padding", "flip", "epilogue")}
        params = {**kept, "pool": node.params["window"], "types": types, **first}
        results = found.kernel.rebuild(found.operands(), params).outputs
    else:
        params = {k: v for k, v in node.params.items() if k != "first"}
        results = POOL2D.rebuild(inputs, {**params, "winners": winners, **first}).outputs
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
