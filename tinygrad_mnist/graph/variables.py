"""The graph itself: variables, nodes and ops.

An `Op` is an operation with its rules. A `Node` is an op applied to variables; its results are
variables that point back to it. Nothing here changes after it is made, so a graph can be shared,
rewritten by copying, and walked freely. Only the value of a `SharedVariable` (`shared.py`) changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params, Reference
from tinygrad_mnist.contracts.core.formula import Formula
from tinygrad_mnist.graph.api import api_function
from tinygrad_mnist.graph.layout import Layout, Offset
from tinygrad_mnist.graph.operators import Operators, lookup
from tinygrad_mnist.graph.source import (
    LOCATED,
    Origin,
    Origins,
    located,
    present_context,
    user_origins,
)
from tinygrad_mnist.graph.types import INTEGERS, TensorType, static_type, tensor_type
from tinygrad_mnist.graph.values import check_name, shown


class Variable(Operators["Variable"]):
    """A value in a graph: an input (no node), or result number `index` of `node`.

    type: dtype and dimensions.
    name: the user's name for it, or None.
    origins: the user's lines that it comes from; of a result, those of its node.

    mentions: variables that it is made from though its value doesn't depend on them. They are not
    computed for it, but a function may have them as inputs.

    Programs may hang attributes of their own on it, which the engine leaves alone.
    """

    __slots__ = ("__dict__", "_origins", "index", "name", "node", "type")

    mentions: tuple[Variable, ...] = ()

    def __init__(
        self,
        type: TensorType,
        node: Node | None = None,
        index: int = 0,
        name: str | None = None,
        origins: Origins = (),
    ) -> None:
        self.type = type
        self.node = node
        self.index = index
        self.name = name
        self._origins = origins

    @property
    def origins(self) -> Origins:
        return self._origins if self.node is None else self.node.origins

    @property
    def owner(self) -> Node | None:
        """Theano's name of `node`."""
        return self.node

    @cached_property
    def tag(self) -> Any:
        """An object for attributes of the program's own: `x.tag.role = "weight"`."""
        return SimpleNamespace()

    def clone(self) -> Variable:
        """A new input of the same type and name."""
        return new_input(self.type, self.name)

    def get_parents(self) -> list[Node]:
        """The node that makes it, in a list; empty for an input."""
        return [] if self.node is None else [self.node]

    @property
    def source(self) -> Origin | None:
        """The line that made it, for messages: the first of its origins."""
        return self.origins[0] if self.origins else None

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.ndim

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return self.type.broadcastable

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.node is not None:
            suffix = f".{self.index}" if len(self.node.outputs) > 1 else ""
            return f"{self.node.op.name}{suffix}"
        return f"<{self.type}>"

    def __repr__(self) -> str:
        return str(self)


class Input(Variable):
    """A variable whose value the caller of a function gives: `T.matrix('x')`."""

    __slots__ = ()

    def __init__(self, type: TensorType, name: str | None = None) -> None:
        super().__init__(type, None, 0, name, user_origins())


def new_input(type: TensorType, name: str | None = None) -> Input:
    """An input of a type, whose lengths are not known."""
    check_name(name)
    if not type.is_open:
        type = tensor_type(type.dtype, type.broadcastable)
    return Input(type, name)


@api_function
def input_(type: TensorType, name: str | None = None) -> Input:
    """What calling a type gives; see `new_input`."""
    return new_input(type, name)


class Constant(Variable):
    """A variable whose value is part of the graph.

    weak: True for a Python number, which takes the dtype of the other operands.
    """

    __slots__ = ("value", "weak")

    def __init__(self, value: Array, weak: bool = False, name: str | None = None) -> None:
        array = np.array(value, dtype=value.dtype.newbyteorder("="))
        array.flags.writeable = False
        broadcastable = tuple(n == 1 for n in array.shape)
        super().__init__(static_type(array.dtype.name, array.shape, broadcastable), name=name)
        self.value = array
        self.weak = weak

    @property
    def known_value(self) -> Array:
        """The array; `Protocols` says what it is for."""
        return self.value

    @property
    def data(self) -> Array:
        """Theano's name of `value`."""
        return self.value

    def __index__(self) -> int:
        return int(self.value) if self.ndim == 0 and self.dtype in INTEGERS else super().__index__()

    def clone(self) -> Constant:
        """The same value in a new variable."""
        return Constant(self.value, self.weak, self.name)

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.value.ndim == 0:
            return str(self.value[()])  # a float32 in its own few digits
        return f"<constant {self.type}>"


def described(value: Any) -> str:
    """What a value is, as the beginning of a message: "`y` is a float32 scalar"."""
    if not isinstance(value, Variable) or isinstance(value, Constant):
        given = value.value[()] if isinstance(value, Constant) else value
        return f"{shown(given)} is a {type(given).__name__}"
    made = f"the result of {value.node.op.name}" if value.node else "the variable"
    article = "an" if value.dtype.startswith("i") else "a"
    return f"{f'`{value.name}`' if value.name else made} is {article} {value.type}"


class Node:
    """An op applied to inputs, with its static parameters; `outputs` are its results.

    origins: the user's lines that it comes from. Where a pass merges equal nodes of a plan's graph,
    the one that stays gets those of the others.
    """

    __slots__ = ("__dict__", "inputs", "op", "origins", "outputs", "params")

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Variable],
        params: Mapping[str, Any],
        types: Sequence[TensorType],
        origins: Origins,
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.params: Mapping[str, Any] = MappingProxyType(dict(params))
        self.origins = origins
        self.outputs = tuple(Variable(t, self, i) for i, t in enumerate(types))

    @cached_property
    def tag(self) -> Any:
        """An object for attributes of the program's own."""
        return SimpleNamespace()

    def __repr__(self) -> str:
        return f"{self.op.name}({', '.join(map(str, self.inputs))})"


# --- ops ----------------------------------------------------------------------------------------


class HostValues(Protocol):
    """Integer scalars of the call that is being specialised; see `compile.host`."""

    def knows(self, scalar: Variable) -> bool:
        """Whether the host can compute `scalar`; the other methods raise an error if it can't."""

    def specialised(self, outputs: Sequence[Variable]) -> list[Variable]:
        """Symbolic expressions of what is specialised already, with known shapes."""

    def by_value(self, scalar: Variable) -> int:
        """The value of `scalar`. It becomes a guard: the plan holds for this value only."""

    def slice(
        self, start: Variable | None, stop: Variable | None, step: int, length: int
    ) -> tuple[Offset, int]:
        """Start and length of a slice, clamped to `length` as NumPy does. The length becomes a
        guard of the plan; the start does not."""

    def index(self, scalar: Variable, length: int) -> Offset:
        """An index into a dimension of that length; checked at every call."""


Infer = Callable[[Params, Sequence[TensorType]], Sequence[TensorType]]
Vjp = Callable[[Node, Variable], Sequence[Variable | None]]
MultiVjp = Callable[[Node, Sequence[Variable | None]], Sequence[Variable | None]]
Lower = Callable[[Node], Sequence[Variable]]
Checks = Callable[[Node], Sequence[tuple[int, int, int]]]
View = Callable[[Params, Layout], Layout | None]
Part = Callable[[Params, Layout], Layout]
Written = Callable[[Variable], Formula]
Infix = Callable[[Node, Written], Formula]
Specialise = Callable[[Node, Sequence[Variable], HostValues], Sequence[Variable]]
Host = Callable[[Params, Sequence[Array]], Sequence[Array]]


class Choice(NamedTuple):
    """How a value decides what a node computes.

    decides: the value, a scalar. kind: turns it into what is decided, such as `bool`. results: the
    expressions that replace the node's results for that.
    """

    decides: Callable[[Node], Variable]
    kind: Callable[[Any], int]
    results: Callable[[Node, int], Sequence[Variable]]


def no_slope(node: Node, g: Variable) -> list[Variable | None]:
    """The vjp of a step function: zeros, whatever the gradient of its result."""
    return [None] * len(node.inputs)


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: its name and all its rules.

    name: unique; graphs, plans and errors show it.
    infer: `(params, input types) -> output types`; raises GraphTypeError or ShapeError.
    reference: `(params, arrays, output specs) -> arrays` in NumPy.
    vjp: `(node, gradient of its first result) -> gradients of its inputs`, each as a graph, or None
        for zeros. The op's other results, if any, have no gradient. A step function has `no_slope`.
    masked_vjp: `vjp` with a result that is 0 wherever the gradient is, even where the slope is
        infinite or NaN. It is used for what a `switch` may leave out.
    multi_vjp: `vjp` for an op with several differentiable results. It gets the gradients of all
        results, of which at least one is not None. To ask an op with neither rule and a float
        result for its gradient is an error.
    n_connected: how many of the first inputs have a say in the results by their values; the others
        are lengths, indices and conditions, to which no gradient leads. None: all inputs.
    specialise: for ops with symbolic shapes or indices: the node over inputs of known shape that
        computes the same. Without it the op is applied to the new inputs as it is.
    lower: the same computation in ops that have kernels of their own (`contract`), or None for
        those themselves and for views.
    whole: for an op with `lower`, `(kernel, node -> results)`: the same as one call of that kernel,
        taken instead of `lower` where the backend has it.
    contract: name of the kernel that computes it, for kernel-level ops.
    tape_op: name of the tape instruction that computes it, for elementwise ops.
    view: for an op whose result is its first input's memory seen differently: `(params, layout of
        the input) -> layout of the result`, or None where such a layout can't express it and the
        input has to be copied into C order first.
    checks: for an op whose kernel uses inputs as indices (`Contract.indices`), the range in which
        each has to lie: `node -> [(input number, low, high), ...]`. They are checked before
        anything is written, so a bad label leaves all values unchanged.
    shown: name of the parameter that is shown behind the op's name, as in `sum{0}`.
    infix: `(node, formula of an operand) -> formula` of the node in an expression. Without it an
        elementwise op is written as an operator or function, any other as `name(inputs)`.
    host: for an op that NumPy computes on the host, `(params, arrays) -> arrays`. The lengths of
        its results may depend on values. It cuts the plan: see `compile.cuts`.
    lazy: it cuts the plan too. Only its first input is computed before it.
    choice: for an op that is replaced by other expressions when a value is known.
    updated_part: for an op whose kernel updates its first input in place: `(params, layout of the
        input) -> layout of the part that the kernel works on`; None where that is all of it.
    """

    name: str
    infer: Infer
    reference: Reference | None
    vjp: Vjp | None = None
    masked_vjp: Vjp | None = None
    multi_vjp: MultiVjp | None = None
    n_connected: int | None = None
    specialise: Specialise | None = None
    lower: Lower | None = None
    whole: tuple[str, Lower] | None = None
    contract: str | None = None
    tape_op: str | None = None
    view: View | None = None
    checks: Checks | None = None
    host: Host | None = None
    lazy: bool = False
    choice: Choice | None = None
    updated_part: Part | None = None
    shown: str | None = None
    infix: Infix | None = None

    def __repr__(self) -> str:
        return self.name

    @property
    def is_differentiable(self) -> bool:
        """Whether gradients other than zero pass through it."""
        return self.vjp not in (None, no_slope) or self.multi_vjp is not None

    def __call__(self, *inputs: Variable, **params: Any) -> Variable:
        """Applies the op and returns its first result."""
        return self.node(*inputs, **params).outputs[0]

    def node(self, *inputs: Variable, **params: Any) -> Node:
        """Applies the op: infers the types of the results and remembers where it comes from."""
        node = self.rebuild(inputs, params)
        if config.compute_test_value != "off":
            lookup("compute_test_value")(node)
        return node

    def rebuild(self, inputs: Sequence[Variable], params: Mapping[str, Any]) -> Node:
        """The same for inputs and parameters in containers."""
        context = present_context()
        origins = user_origins() if context is None else context.origins
        try:
            types = self.infer(params, [v.type for v in inputs])
        except LOCATED as error:
            raise located(error, self.name, origins) from None
        node = Node(self, inputs, params, types, origins)
        if context is not None:
            context.made.append(node)
        return node

    def evaluate(self, node: Node, arrays: Sequence[Array]) -> list[Array]:
        """The node's results in NumPy, for arrays of its inputs; shapes must be known."""
        if self.reference is None:
            raise NotImplementedError(f"{self.name} has no value before it is specialised")
        specs = [ArraySpec(v.dtype, v.type.static_shape) for v in node.outputs]
        return self.reference(node.params, arrays, specs)

    def pull_back(
        self, node: Node, gradients: Sequence[Variable | None], masked: bool = False
    ) -> Sequence[Variable | None]:
        """Gradients of the node's inputs, given those of its results; None means zeros.

        masked: take `masked_vjp` where the op has it.
        """
        if all(g is None for g in gradients):
            return [None] * len(node.inputs)
        if self.multi_vjp is not None:
            return self.multi_vjp(node, gradients)
        vjp = self.masked_vjp if masked and self.masked_vjp is not None else self.vjp
        if vjp is not None and gradients[0] is not None:
            return vjp(node, gradients[0])
        return [None] * len(node.inputs)
