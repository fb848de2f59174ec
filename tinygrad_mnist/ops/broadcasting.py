"""What is known of an array's shape: which axes broadcast, and lengths that are promised.

Both are checked when a graph is specialised, where every length is a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.errors import ArgumentError, ShapeError
from tinygrad_mnist.graph.op import as_variable, constant, register_op
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.values import axis_numbers, flag, several
from tinygrad_mnist.graph.variables import Constant, HostValues, Node, Op, Variable
from tinygrad_mnist.ops.shape import shape_scalars, static_reshape


def _rebroadcast_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    (x,) = types
    lengths = tuple(1 if b else n for b, n in zip(params["broadcastable"], x.shape, strict=True))
    return [TensorType(x.dtype, params["broadcastable"], lengths)]


def _rebroadcast_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    (x,), flags = inputs, node.params["broadcastable"]
    for axis, (n, broadcasts) in enumerate(zip(x.type.static_shape, flags, strict=True)):
        if broadcasts and n != 1:
            raise ShapeError(f"axis {axis} is to broadcast, but it is {n} long")
    return [static_reshape(x, x.type.static_shape, flags)]


def _rebroadcast_vjp(node: Node, g: Variable) -> list[Variable | None]:
    return [rebroadcast(g, node.inputs[0].broadcastable)]


# x -> x, whose axes broadcast as params["broadcastable"] says
_REBROADCAST = register_op(
    Op(
        "rebroadcast",
        _rebroadcast_infer,
        None,
        vjp=_rebroadcast_vjp,
        specialise=_rebroadcast_specialise,
        shown="broadcastable",
    )
)


def rebroadcast(x: Variable, flags: tuple[bool, ...]) -> Variable:
    """`x` with axes that broadcast where `flags` says; a function checks that they are 1 long."""
    return x if x.broadcastable == flags else _REBROADCAST(x, broadcastable=flags)


def _changed(x: Any, axes: Sequence[Any], broadcasts: bool) -> Variable:
    variable = as_variable(x)
    chosen = axis_numbers(axes, variable.ndim)
    flags = enumerate(variable.broadcastable)
    return rebroadcast(variable, tuple(broadcasts if i in chosen else b for i, b in flags))


def addbroadcast(x: Any, *axes: Any) -> Variable:
    """`x`, whose `axes` broadcast. A call in which one of them isn't 1 long is a ShapeError."""
    return _changed(x, axes, True)


def unbroadcast(x: Any, *axes: Any) -> Variable:
    """`x`, whose `axes` don't broadcast."""
    return _changed(x, axes, False)


def patternbroadcast(x: Any, broadcastable: Any) -> Variable:
    """`x`, whose axes broadcast where `broadcastable`, a flag per axis, is true. A call in which
    one of these isn't 1 long is a ShapeError."""
    variable = as_variable(x)
    given = several(broadcastable, "broadcastable", "bools")
    flags = tuple(flag(b, "a value in broadcastable") for b in given)
    if len(flags) != variable.ndim:
        raise ArgumentError(f"broadcastable has {len(flags)} flags; {variable.type} was given")
    return rebroadcast(variable, flags)


def Rebroadcast(*axes: tuple[int, bool]) -> Callable[[Any], Variable]:  # noqa: N802
    """The function that makes axes of its argument broadcast or not: `Rebroadcast((0, True))(x)`.

    axes: pairs of an axis and a flag.
    """

    def apply(x: Any) -> Variable:
        for axis, broadcasts in axes:
            x = _changed(x, [axis], flag(broadcasts, "a flag of Rebroadcast"))
        return as_variable(x)

    return apply


# --- promised lengths ---------------------------------------------------------------------------


def _specify_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, *_ = types
    lengths = []
    for axis, (promised, n) in enumerate(zip(params["shape"], x.shape, strict=True)):
        if None not in (promised, n) and promised != n:
            raise ShapeError(f"axis {axis} is to be {promised} long, but it is {n} long")
        lengths.append(n if promised is None else promised)
    return [TensorType(x.dtype, x.broadcastable, tuple(lengths))]


def _specify_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x = inputs[0]
    promised = tuple(host.by_value(n) for n in node.inputs[1:])
    if x.type.static_shape != promised:
        raise ShapeError(f"the shape is to be {promised}, but it is {x.type.static_shape}")
    return [x]


# x, its lengths -> x; params shape, those of them that are numbers
_SPECIFY_SHAPE = register_op(
    Op(
        "specify_shape",
        _specify_infer,
        None,
        vjp=lambda node, g: [g, *(None for _ in node.inputs[1:])],
        specialise=_specify_specialise,
    )
)


def specify_shape(x: Any, shape: Any) -> Variable:
    """`x`, of which it is known that it has this shape: ints and integer scalars, or a symbolic
    vector such as `y.shape`.

    Raises ArgumentError for another number of lengths than `x` has axes, and ShapeError for a
    length that is wrong, also when a function is called.
    """
    variable = as_variable(x)
    lengths = shape_scalars(shape, variable.ndim if isinstance(shape, Variable) else None)
    if len(lengths) != variable.ndim:
        raise ArgumentError(f"the shape has {len(lengths)} lengths; {variable.type} was given")
    known = tuple(int(n.value) if isinstance(n, Constant) else None for n in lengths)
    scalars = [
        n if m is None else constant(m, "int64") for n, m in zip(lengths, known, strict=True)
    ]
    return _SPECIFY_SHAPE(variable, *scalars, shape=known)
