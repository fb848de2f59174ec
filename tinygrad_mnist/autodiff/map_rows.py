"""The op `map_rows`: an expression computed for each row of some arrays, and the results stacked.

It is made for Jacobians, whose rows are gradients. The number of rows may be unknown until a
function is called. Specialisation then writes the expression out for each row. Nodes that all rows
share are computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tinygrad_mnist.autodiff.batched import batched
from tinygrad_mnist.autodiff.pull_back import pull_back
from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Choice, Constant, HostValues, Node, Op, Variable
from tinygrad_mnist.ops.elementwise import identity
from tinygrad_mnist.ops.index import getitem
from tinygrad_mnist.ops.join import stack
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.shape import length

MAX_ROWS = 10_000


class RowGraph(NamedTuple):
    """What is computed for a row.

    rows: variables for a row of each array. closures: variables for what all rows share. results:
    expressions of these alone.
    """

    rows: tuple[Variable, ...]
    closures: tuple[Variable, ...]
    results: tuple[Variable, ...]

    def applied(self, rows: Sequence[Variable], closures: Sequence[Variable]) -> list[Variable]:
        """The results for given operands."""
        formals = (*self.rows, *self.closures)
        return substitute(self.results, dict(zip(formals, (*rows, *closures), strict=True)))


def map_rows(
    arrays: Sequence[Variable], rows: Sequence[Variable], results: Sequence[Variable]
) -> Sequence[Variable]:
    """`results`, stacked along a new first axis, for each row of `arrays`.

    rows: variables that stand in `results` for a row of each array. All else that `results` depend
    on is the same for all rows. They are computed for all rows at once where the ops allow that.
    """
    at_once = batched(dict(zip(rows, arrays, strict=True)), results)
    if at_once is not None:
        return at_once
    return each_row(arrays, rows, results)


def each_row(
    arrays: Sequence[Variable], rows: Sequence[Variable], results: Sequence[Variable]
) -> Sequence[Variable]:
    """The same by the op."""
    varying = set(rows)
    shared: dict[Variable, None] = {}
    for node in toposort(results):
        if varying.isdisjoint(node.inputs):
            continue
        varying.update(node.outputs)
        shared.update(dict.fromkeys(v for v in node.inputs if v not in varying))
    shared.update(dict.fromkeys(v for v in results if v not in varying))
    closures = [v for v in shared if not isinstance(v, Constant)]
    formals = {v: Variable(v.type, name=v.name) for v in closures}
    graph = RowGraph(tuple(rows), tuple(formals.values()), tuple(substitute(results, formals)))
    return MAP_ROWS.node(*arrays, *closures, graph=graph).outputs


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    results = params["graph"].results
    return [
        TensorType(v.dtype, (False, *v.broadcastable), (types[0].shape[0], *v.type.shape))
        for v in results
    ]


def _specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    return host.specialised(_written_out(node, inputs[0].type.static_shape[0]))


def _written_out(node: Node, count: int) -> list[Variable]:
    """The results of a node for a number of rows."""
    graph: RowGraph = node.params["graph"]
    n_arrays = len(graph.rows)
    if count > MAX_ROWS:
        raise ShapeError(f"{count} rows; a Jacobian has at most {MAX_ROWS}, each written out")
    arrays, closures = node.inputs[:n_arrays], node.inputs[n_arrays:]
    rows = [graph.applied([getitem(a, i) for a in arrays], closures) for i in range(count)]
    if not rows:  # one row of zeros, cut off again
        rows = [graph.applied([sum_(a, axis=0) for a in arrays], closures)]
    stacked = [stack(*of_rows) for of_rows in zip(*rows, strict=True)]
    return stacked if count else [getitem(v, slice(0, 0)) for v in stacked]


def _vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    """The gradients of the rows, and the sums over rows of those of the closures."""
    graph: RowGraph = node.params["graph"]
    n_arrays = len(graph.rows)
    given = [(v, g) for v, g in zip(graph.results, cotangents, strict=True) if g is not None]
    slopes = {identity(v): Variable(v.type) for v, _ in given}
    formals = [v for v in (*graph.rows, *graph.closures) if v.type.is_float]
    found = pull_back(slopes, formals)
    present = [v for v in formals if v in found]
    if not present:
        return [None] * len(node.inputs)
    operands = dict(zip((*graph.rows, *graph.closures), node.inputs, strict=True))
    results = substitute([found[v] for v in present], {v: operands[v] for v in graph.closures})
    arrays = [*node.inputs[:n_arrays], *(g for _, g in given)]
    mapped = map_rows(arrays, [*graph.rows, *slopes.values()], results)
    gradients: Mapping[Variable, Variable] = {
        v: m if v in graph.rows else sum_(m, axis=0) for v, m in zip(present, mapped, strict=True)
    }
    return [gradients.get(v) for v in (*graph.rows, *graph.closures)]


# arrays with as many rows, what all rows share -> the results of every row, stacked; params graph
MAP_ROWS = register_op(
    Op(
        "map_rows",
        _infer,
        None,
        multi_vjp=_vjp,
        specialise=_specialise,
        choice=Choice(lambda node: length(node.inputs[0], 0), int, _written_out),
    )
)
