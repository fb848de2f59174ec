"""The reverse sweep: gradients of known results are pulled back through a graph, node by node."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence

from tinygrad_mnist.autodiff.undefined import grad_not_implemented, is_undefined
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.source import gradients_of, on_behalf_of
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.broadcasting import rebroadcast
from tinygrad_mnist.ops.elementwise import add, cast, identity
from tinygrad_mnist.stability import stabilise
from tinygrad_mnist.stability.masks import Masks


def stable_gradients(
    seeds: Mapping[Variable, Variable],
    wrt: Sequence[Variable],
    stop: Collection[Variable] = (),
    masked: bool = True,
) -> list[Variable | None]:
    """The gradients of `wrt`, given those of the keys of `seeds`, whose expressions are made stable
    before they are differentiated.

    None: zeros, or the seeds don't depend on the variable; see `connected`. stop: variables through
    which no gradient passes. masked: whether a gradient of 0 stays 0 below a choice; see `Masks`.
    """
    roots, aliases = _stable_graph(list(seeds), wrt, stop)
    stable_seeds = dict(zip(roots, seeds.values(), strict=True))
    targets = [aliases.get(v, v) for v in wrt]
    gradients = pull_back(stable_seeds, targets, stop, masked)
    return [gradients.get(v) for v in targets]


def connected(roots: Iterable[Variable], stop: Container[Variable] = ()) -> set[Variable]:
    """What `roots` depend on by value, whether the slope is zero or not, and themselves."""
    found = set(roots)
    for node in reversed(toposort(found, up_to=stop)):
        if any(v in found and v not in stop for v in node.outputs):
            found.update(node.inputs[: node.op.n_connected])
    return found


def _stable_graph(
    roots: Sequence[Variable], wrt: Sequence[Variable], stop: Collection[Variable]
) -> tuple[list[Variable], dict[Variable, Variable]]:
    """The stable forms of `roots`, in which all of `wrt` and `stop` are still variables.

    A variable that others of `wrt` lead to, or a root that other roots read, has an expression of
    its own to make stable; the second result maps it to its stand-in.
    """
    kept = [*wrt, *(roots if len(roots) > 1 else ())]
    leaves = {*kept, *stop}
    aliases: dict[Variable, Variable] = {}
    for node in toposort(kept):
        for v in node.outputs:
            if v in leaves and v not in stop and _depends_on(v, leaves):
                (renamed,) = substitute([v], aliases)
                others = {*leaves, *aliases.values()} - {v}
                aliases[v] = identity(*stabilise([renamed], others))
    renamed_roots = substitute(roots, aliases)
    return stabilise(renamed_roots, {*leaves, *aliases.values()}), aliases


def _depends_on(v: Variable, leaves: set[Variable]) -> bool:
    return any(u in leaves for node in toposort([v]) for u in node.inputs)


def pull_back(
    seeds: Mapping[Variable, Variable],
    wrt: Sequence[Variable],
    stop: Container[Variable] = (),
    masked: bool = True,
) -> dict[Variable, Variable]:
    """Gradients of all variables between the keys of `seeds` and `wrt` that aren't zero.

    seeds: variables with their gradients, which stay as they are. Results that are integers pass
    no gradient but an undefined one. An integer of `wrt` counts as a float for what reads it.
    """
    order = toposort(seeds, up_to=stop)
    reached = set(wrt)
    passes_integers = any(map(is_undefined, seeds.values()))
    for node in order:
        if any(v in reached for v in node.inputs[: node.op.n_connected]):
            passing = (v for v in node.outputs if passes_integers or v.type.is_float)
            reached.update(v for v in passing if v not in stop)
    gradients = {v: g for v, g in seeds.items() if v in reached}
    integers = {v for v in wrt if v.type.is_discrete}
    masks = Masks()
    for node in reversed(order):
        is_masked = masks.visit(node) and masked
        of_results = [
            g if v not in stop and (v.type.is_float or is_undefined(g)) else None
            for v, g in ((v, gradients.get(v)) for v in node.outputs)
        ]
        if not any(v in reached for v in node.inputs) or all(g is None for g in of_results):
            continue
        with on_behalf_of(gradients_of(node.origins)):
            of_inputs = _of_inputs(_with_floats(node, integers), of_results, is_masked)
            for v, g in zip(node.inputs, of_inputs, strict=True):
                if g is None or v not in reached or v in seeds:
                    continue
                _check(node, v, g)
                g = _broadcasting_as(g, v)
                gradients[v] = _sum(gradients[v], g) if v in gradients else g
    return gradients


def _of_inputs(
    node: Node, of_results: Sequence[Variable | None], is_masked: bool
) -> Sequence[Variable | None]:
    """The gradients of a node's inputs; undefined ones where one of its results' is undefined, or
    the op has no rule."""
    undefined = next((g for g in of_results if is_undefined(g)), None)
    if undefined is None and node.op.vjp is None and node.op.multi_vjp is None:
        undefined = grad_not_implemented(node.op, 0, node.inputs[0])
    if undefined is None:
        return node.op.pull_back(node, of_results, is_masked)
    n_connected = node.op.n_connected
    count = len(node.inputs) if n_connected is None else n_connected
    return [undefined if i < count else None for i in range(len(node.inputs))]


def _with_floats(node: Node, integers: set[Variable]) -> Node:
    """An elementwise node with a float result, applied to floats in place of these integers."""
    if node.op.tape_op is None or integers.isdisjoint(node.inputs):
        return node
    dtype = node.outputs[0].dtype
    inputs = [cast(v, dtype) if v in integers else v for v in node.inputs]
    return node.op.rebuild(inputs, node.params)


def _sum(first: Variable, second: Variable) -> Variable:
    if is_undefined(first) or is_undefined(second):
        return first if is_undefined(first) else second
    return add(first, second)


def _broadcasting_as(g: Variable, v: Variable) -> Variable:
    """The gradient, whose axes broadcast at least where those of its variable do."""
    if is_undefined(g):
        return g
    flags = tuple(a or b for a, b in zip(g.broadcastable, v.broadcastable, strict=True))
    return rebroadcast(g, flags) if flags != g.broadcastable else g


def _check(node: Node, v: Variable, g: Variable) -> None:
    """The gradient of an input must have the input's rank, and its dtype if that is a float."""
    if is_undefined(g):
        return
    if g.ndim != v.ndim or not g.type.is_float or (v.type.is_float and g.dtype != v.dtype):
        raise GraphTypeError(f"the vjp of {node.op.name} gives {g.type} for an input of {v.type}")
