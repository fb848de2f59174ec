"""Integer vectors as indices, over arrays whose shape is known.

`gather` picks rows. `scatter_add` and `scatter_set` are what it turns into where elements are
written: an array that starts as a copy of another one and has rows added to it or put into it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.base import Array, ArraySpec, Params
from tinygrad_mnist.graph.layout import Layout, Place
from tinygrad_mnist.graph.op import Op, register_op
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node


def _gather_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, first = types[:2]
    n = params["n_index"]
    return [
        TensorType(
            x.dtype,
            (first.broadcastable[0], *x.broadcastable[n:]),
            (first.shape[0], *x.shape[n:]),
        )
    ]


def _gather_checks(node: Node) -> list[tuple[int, int, int]]:
    lengths = node.inputs[0].type.static_shape
    return [(1 + axis, -lengths[axis], lengths[axis]) for axis in range(node.params["n_index"])]


# x, index vectors (n,) of its first axes -> (n, rest of x's shape)
GATHER = register_op(
    Op(
        "gather",
        _gather_infer,
        CONTRACTS["gather"].reference,
        contract="gather",
        checks=_gather_checks,
    )
)


def indexed_order(place: Place, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a slice with the indexed ones first."""
    return (*axes, *(axis for axis in range(len(place.kept)) if axis not in axes))


def indexed_layout(params: Params, layout: Layout) -> Layout:
    """The slice of an array that a scatter works in, the indexed axes first."""
    place: Place = params["place"]
    inner = place.layout(layout)
    order = indexed_order(place, params["axes"])
    return inner.rearranged((inner.shape[a] for a in order), (inner.strides[a] for a in order))


def _scatter_checks(node: Node) -> list[tuple[int, int, int]]:
    lengths = [node.params["place"].shape[axis] for axis in node.params["axes"]]
    return [(2 + k, -length, length) for k, length in enumerate(lengths)]


def _define_scatter(name: str) -> Op:
    def reference(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        base, *operands = inputs
        result = base.copy()
        order = indexed_order(params["place"], params["axes"])
        indexed = result[params["place"].key()].transpose(order)
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
        )
    )


# base, rows (n, rest), index vectors (n,) -> the base, with the rows added to or put into a slice
# of it; params place, axes (of the slice, indexed), n_index
SCATTER_ADD = _define_scatter("scatter_add")
SCATTER_SET = _define_scatter("scatter_set")
