"""Pickles and copies of variables, nodes, ops and types.

A result of a node is written as its number in a `Piece`: all nodes that it depends on, in the order
in which they are computed. So a deep graph is a long list in a pickle, which needs no recursion. A
node is in one piece of a pickle only, so variables that are pickled together share what they
depend on. A leaf is written without the attributes that a program hangs on it; these follow once
all nodes of the piece are known, since they may lead back to any of them.

`pickle` and `copy` find the functions of this module in `copyreg`'s table.
"""

from __future__ import annotations

import copyreg
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import HOMES, OPS
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import Origins
from tinygrad_mnist.graph.storage import aligned_copy
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Constant, Input, Node, Op, Variable

Reduced = tuple[Any, ...]  # what `__reduce__` returns
# A node with the numbers of its inputs, its parameters, the types of its results and its lines.
Step = tuple[Op, tuple[int, ...], Mapping[str, Any], tuple[TensorType, ...], Origins]

# --- pieces of graphs -----------------------------------------------------------------------------


class Piece:
    """Nodes that are written together, each after those that it depends on."""

    __slots__ = ("__weakref__", "nodes", "positions")

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.positions = {node: i for i, node in enumerate(nodes)}

    def __reduce__(self) -> Reduced:
        """The piece as numbers: `given` values come first, then the results of each step."""
        numbers: dict[Variable, int] = {}
        given: list[Any] = []
        leaves: list[Variable] = []
        for node in self.nodes:
            for v in node.inputs:
                if v in numbers or v.node in self.positions:
                    continue
                numbers[v] = len(numbers)
                given.append(v if v.node is not None else _leaf_of(v))
                if v.node is None:
                    leaves.append(v)
        types: dict[Any, TensorType] = {}
        steps: list[Step] = []
        for node in self.nodes:
            for v in node.outputs:
                numbers[v] = len(numbers)
            own = tuple(types.setdefault((v.type, v.type.shape), v.type) for v in node.outputs)
            inputs = tuple(numbers[v] for v in node.inputs)
            steps.append((node.op, inputs, dict(node.params), own, node.origins))
        return LoadedPiece, (given, steps), (leaves, _attributes(self.nodes))


class LoadedPiece:
    """The nodes of a pickled or copied piece."""

    __slots__ = ("nodes",)

    def __init__(self, given: Sequence[Variable], steps: Sequence[Step]) -> None:
        self.nodes: list[Node] = []
        values = list(given)
        for op, numbers, params, types, origins in steps:
            node = Node(op, [values[i] for i in numbers], params, types, origins)
            self.nodes.append(node)
            values.extend(node.outputs)

    def __setstate__(self, state: tuple[Any, list[tuple[int, int | None, Any]]]) -> None:
        for position, index, attributes in state[1]:
            node = self.nodes[position]
            _set_attributes(node if index is None else node.outputs[index], attributes)


def _attributes(nodes: Sequence[Node]) -> list[tuple[int, int | None, Any]]:
    """What a program has set on nodes and on their results: position of the node, number of the
    result or None, values."""
    found: list[tuple[int, int | None, Any]] = []
    for position, node in enumerate(nodes):
        if vars(node):
            found.append((position, None, dict(vars(node))))
        for index, v in enumerate(node.outputs):
            own = dict(vars(v)) if v.name is None else {**vars(v), "name": v.name}
            if own:
                found.append((position, index, own))
    return found


def _set_attributes(owner: Variable | Node, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(owner, name, value)


class _Open(threading.local):
    """What the pickles and copies that this thread is making have written, by the `id` of a node or
    leaf. A pickle holds what it has written, so an entry lasts as long as its pickle is made."""

    def __init__(self) -> None:
        self.pieces: WeakValueDictionary[int, Piece] = WeakValueDictionary()
        self.leaves: WeakValueDictionary[int, Leaf] = WeakValueDictionary()

    def __contains__(self, v: object) -> bool:
        """Whether a variable is the result of a node in a piece."""
        return isinstance(v, Variable) and id(v.node) in self.pieces


_open = _Open()


def _piece_of(node: Node) -> Piece:
    """The piece that has a node; a new one has all that it depends on and no other piece has."""
    piece = _open.pieces.get(id(node))
    if piece is None:
        piece = Piece(_needed(node))
        for written in piece.nodes:
            _open.pieces[id(written)] = piece
    return piece


class _Taken:
    """Results of nodes that are taken already, or are in a piece."""

    def __init__(self) -> None:
        self.nodes: dict[Node, None] = {}

    def __contains__(self, v: object) -> bool:
        return isinstance(v, Variable) and (v.node in self.nodes or v in _open)


def _needed(node: Node) -> list[Node]:
    """A node and all that it depends on and no piece has, with the default updates of the shared
    variables among it; each comes after those that it depends on."""
    taken, leaves = _Taken(), set()
    pending = [node.outputs[0]]
    while pending:
        v = pending.pop()
        new = [] if v in taken else toposort([v], up_to=taken)
        taken.nodes.update(dict.fromkeys(new))
        for leaf in (leaf for n in new for leaf in n.inputs if isinstance(leaf, SharedVariable)):
            update: Any = leaf.default_update
            if leaf not in leaves and isinstance(update, Variable) and update.node is not None:
                leaves.add(leaf)
                pending.append(update)
    return list(taken.nodes)


# --- variables and nodes --------------------------------------------------------------------------


class Leaf:
    """A variable that no node makes, without the attributes that a program hangs on it."""

    __slots__ = ("__weakref__", "variable")

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def __reduce__(self) -> Reduced:
        v = self.variable
        if isinstance(v, Constant):
            return _load_constant, (v.value, v.weak, v.type, v.name, v.origins)
        if isinstance(v, SharedVariable):  # the host's value: a copy on a device is not written
            own = () if type(v) is SharedVariable else (type(v),)
            return _load_shared, (v.get_value(), v.type, v.name, v.origins, *own)
        return _load_leaf, (type(v), v.type, v.name, v.origins)


def _leaf_of(v: Variable) -> Leaf:
    leaf = _open.leaves.get(id(v))
    if leaf is None:
        _open.leaves[id(v)] = leaf = Leaf(v)
    return leaf


def _load_leaf(
    cls: type[Variable], type: TensorType, name: str | None, origins: Origins
) -> Variable:
    variable = cls.__new__(cls)
    Variable.__init__(variable, type, None, 0, name, origins)
    return variable


def _load_constant(
    value: Array, weak: bool, type: TensorType, name: str | None, origins: Origins
) -> Constant:
    constant = Constant(np.asarray(value), weak, name)
    constant.type, constant._origins = type, origins
    return constant


def _load_shared(
    value: Array,
    type: TensorType,
    name: str | None,
    origins: Origins,
    cls: type[SharedVariable] = SharedVariable,
) -> SharedVariable:
    shared = cls.__new__(cls)
    SharedVariable.__init__(shared, aligned_copy(value, type.dtype), type, name)
    shared._origins = origins
    return shared


def _reduce_variable(v: Variable) -> Reduced:
    if v.node is not None:
        piece = _piece_of(v.node)
        return _result, (piece, piece.positions[v.node], v.index)
    slots: dict[str, Any] = {}
    if isinstance(v, SharedVariable) and v.default_update is not None:
        slots["default_update"] = v.default_update
    own = dict(vars(v))
    return _leaf, (_leaf_of(v),), ((own or None, slots) if own or slots else None)


def _leaf(leaf: Variable | Leaf) -> Variable:
    """A leaf from a pickle or a deep copy; of `copy.copy`, which passes the original, a copy."""
    if isinstance(leaf, Leaf):
        load, arguments = leaf.__reduce__()
        copied: Variable = load(*arguments)
        return copied
    return leaf


def _reduce_node(node: Node) -> Reduced:
    piece = _piece_of(node)
    return _node, (piece, piece.positions[node])


def _node(piece: LoadedPiece | Piece, position: int) -> Node:
    """A node from a pickle or a deep copy; of `copy.copy`, which passes the original, another node
    of the same inputs."""
    node = piece.nodes[position]
    if isinstance(piece, LoadedPiece):
        return node
    twin = Node(node.op, node.inputs, node.params, [v.type for v in node.outputs], node.origins)
    for _, index, attributes in _attributes([node]):
        _set_attributes(twin if index is None else twin.outputs[index], attributes)
    return twin


def _result(piece: LoadedPiece | Piece, position: int, index: int) -> Variable:
    return _node(piece, position).outputs[index]


# --- ops and types --------------------------------------------------------------------------------


def _reduce_op(op: Op) -> Reduced:
    if OPS.get(op.name) is not op:
        raise GraphTypeError(f"the op {op.name!r} is not registered, so no pickle can have it")
    return find_op, (op.name, HOMES[op.name])


def find_op(name: str, home: str) -> Op:
    """The registered op of that name. home: the module that registers it, which is imported if it
    has not been. Raises GraphTypeError where there is no such op."""
    if name not in OPS:
        import_module(home)
    if name not in OPS:
        raise GraphTypeError(f"{home} registers no op {name!r}: a pickle has one of that name")
    return OPS[name]


def _reduce_type(type: TensorType) -> Reduced:
    fields = tuple(getattr(type, name) for name in TensorType.__dataclass_fields__)
    return _interned, fields


@cache
def _interned(*fields: Any) -> TensorType:
    """Equal types are one."""
    return TensorType(*fields)


def keep_class(cls: type[SharedVariable]) -> None:
    """Pickles and copies of a subclass of SharedVariable are of that subclass."""
    copyreg.pickle(cls, _reduce_variable)


for _class in (Variable, Input, Constant, SharedVariable):
    copyreg.pickle(_class, _reduce_variable)
copyreg.pickle(Node, _reduce_node)
copyreg.pickle(Op, _reduce_op)
copyreg.pickle(TensorType, _reduce_type)
