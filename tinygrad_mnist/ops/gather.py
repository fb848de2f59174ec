"""Integer vectors as indices, over arrays whose shape is known.

`gather` picks rows. `scatter_add` and `scatter_set` are its counterparts for writing: an array that
starts as a copy of another one, with rows added to it or replaced in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.graph.layout import Layout, StaticSlice
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node, Op
from tinygrad_mnist.ops import infix
from tinygrad_mnist.ops.kernels import define_kernel


def _gather_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, first = types[:2]
    axis, n = params["axis"], params["n_index"]
    return [
        TensorType(
            x.dtype,
            (*x.broadcastable[:axis], first.broadcastable[0], *x.broadcastable[axis + n :]),
            (*x.shape[:axis], first.shape[0], *x.shape[axis + n :]),
        )
    ]


def _gather_checks(node: Node) -> list[tuple[int, int, int]]:
    axis, n = node.params["axis"], node.params["n_index"]
    lengths = node.inputs[0].type.static_shape[axis : axis + n]
    return [(1 + k, -length, length) for k, length in enumerate(lengths)]


# x (outer, index, rest), index vectors (n,) -> (outer, n, rest); params n_index, axis
GATHER = define_kernel("gather", _gather_infer, _gather_checks, infix=infix.gather)


def indexed_order(ndim: int, axes: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """An order of an array's axes in which the indexed ones are adjacent, and how many come before
    them: the present order if they are adjacent in it, else the indexed ones first."""
    if axes == tuple(range(axes[0], axes[0] + len(axes))):
        return tuple(range(ndim)), axes[0]
    return (*axes, *(axis for axis in range(ndim) if axis not in axes)), 0


def indexed_layout(params: Params, layout: Layout) -> Layout:
    """The slice of an array that a scatter works in, the indexed axes together."""
    region: StaticSlice = params["region"]
    inner = region.layout(layout)
    order, _ = indexed_order(len(region.kept), params["axes"])
    return inner.rearranged((inner.shape[a] for a in order), (inner.strides[a] for a in order))


def _scatter_checks(node: Node) -> list[tuple[int, int, int]]:
    lengths = [node.params["region"].shape[axis] for axis in node.params["axes"]]
    return [(2 + k, -length, length) for k, length in enumerate(lengths)]


def _define_scatter(name: str) -> Op:
    def reference(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        base, *operands = inputs
        result = base.copy()
        order, _ = indexed_order(len(params["region"].kept), params["axes"])
        indexed = result[params["region"].key()].transpose(order)
        contract = CONTRACTS[name]
        (indexed[...],) = contract.reference(params, [indexed, *operands], outputs)
        return [result]

    return register_op(
        Op(
            name,
            lambda params, types: [types[0]],
            reference,
            contract=name,
            checks=_scatter_checks,
            updated_part=indexed_layout,
        )
    )


# base, rows (outer, n, rest), index vectors (n,) -> the base, with the rows added to or put into a
# slice of it; params region, axes (of the slice, indexed), n_index, axis (number of outer ones)
SCATTER_ADD = _define_scatter("scatter_add")
SCATTER_SET = _define_scatter("scatter_set")
