"""Ops: a name with its rules attached, and how one is applied to variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params, Reference
from tinygrad_mnist.contracts.core.formula import Formula
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.host import HostValues
from tinygrad_mnist.graph.layout import Layout
from tinygrad_mnist.graph.source import Source, at, user_source
from tinygrad_mnist.graph.types import DTYPES, TensorType, smallest_integer
from tinygrad_mnist.graph.variables import Constant, Node, Variable

Infer = Callable[[Params, Sequence[TensorType]], Sequence[TensorType]]
Vjp = Callable[[Node, Sequence[Variable | None]], Sequence[Variable | None]]
Lower = Callable[[Node], Sequence[Variable]]
Checks = Callable[[Node], Sequence[tuple[int, int, int]]]
View = Callable[[Params, Layout], Layout | None]
Part = Callable[[Params, Layout], Layout]
Written = Callable[[Variable], Formula]
Infix = Callable[[Node, Written], Formula]
Specialise = Callable[[Node, Sequence[Variable], HostValues], Sequence[Variable]]


@dataclass(frozen=True, eq=False)
class Op:
    """One operation, described in one record.

    name: unique; the name under which it appears in graphs, plans and errors.
    infer: `(params, input types) -> output types`; raises GraphTypeError or ShapeError.
    reference: `(params, arrays, output specs) -> arrays` in NumPy.
    vjp: `(node, cotangents) -> cotangents of the inputs`, each as a graph; None for an op through
        which no gradient passes.
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
        anything is written, so a bad label leaves all values as they were.
    shown: name of the parameter that is shown behind the op's name, as in `sum{0}`.
    infix: `(node, formula of an operand) -> formula` of the node in an expression. Without it an
        elementwise op is written as an operator or function, any other as `name(inputs)`.
    updated_part: for an op whose kernel updates its first input in place: `(params, layout of the
        input) -> layout of the part that the kernel works on`; None where that is all of it.
    """

    name: str
    infer: Infer
    reference: Reference | None
    vjp: Vjp | None = None
    specialise: Specialise | None = None
    lower: Lower | None = None
    whole: tuple[str, Lower] | None = None
    contract: str | None = None
    tape_op: str | None = None
    view: View | None = None
    checks: Checks | None = None
    updated_part: Part | None = None
    shown: str | None = None
    infix: Infix | None = None

    def __call__(self, *inputs: Variable, **params: Any) -> Variable:
        """Applies the op and returns its first result."""
        return self.node(*inputs, **params).outputs[0]

    def node(self, *inputs: Variable, **params: Any) -> Node:
        """Applies the op: infers the types of the results and remembers the user's line."""
        return self.rebuild(inputs, params, None)

    def rebuild(
        self, inputs: Sequence[Variable], params: Mapping[str, Any], source: Source | None
    ) -> Node:
        """Applies the op on behalf of `source` (None: the user's present line)."""
        if source is None:
            source = user_source()
        with located(self.name, source):
            types = self.infer(params, [v.type for v in inputs])
        return Node(self, inputs, params, types, source)

    def evaluate(self, node: Node, arrays: Sequence[Array]) -> list[Array]:
        """The node's results in NumPy, for arrays of its inputs; shapes must be known."""
        if self.reference is None:
            raise NotImplementedError(f"{self.name} has no value before it is specialised")
        specs = [ArraySpec(v.dtype, v.type.static_shape) for v in node.outputs]
        return self.reference(node.params, arrays, specs)


@contextmanager
def located(op: str, source: Source | None) -> Iterator[None]:
    """Adds the op and the user's line to an error of a rule, unless it says them already."""
    try:
        yield
    except (TypeError, ValueError, IndexError) as error:
        text = str(error)
        if "made at" in text:
            raise
        raise type(error)(f"{op}: {text}{at(source)}") from None


OPS: dict[str, Op] = {}


def register_op(op: Op) -> Op:
    """Adds an op to the registry; a second one of the same name is an error."""
    if op.name in OPS:
        raise ValueError(f"the op {op.name!r} is registered twice")
    OPS[op.name] = op
    return op


def as_variable(value: Any, name: str | None = None) -> Variable:
    """A variable for anything that can be one: a variable, a number, an array, a nested list.

    Python numbers become weak constants: they take the dtype of what they meet. NumPy values
    keep their dtype.
    """
    if isinstance(value, Variable):
        return value
    if type(value) is bool:
        return Constant(np.asarray(value), name=name)
    if type(value) is int:
        return Constant(np.asarray(value, dtype=smallest_integer(value)), weak=True, name=name)
    if type(value) is float:
        return Constant(np.asarray(value, dtype="float64"), weak=True, name=name)
    if isinstance(value, np.ndarray | np.generic | list | tuple):
        if isinstance(value, list | tuple) and any(isinstance(v, Variable) for v in value):
            raise GraphTypeError("a list of symbolic variables is no variable")
        array = np.asarray(value)
        if array.dtype.name not in DTYPES:
            raise GraphTypeError(f"an array of dtype {array.dtype} can't be a constant")
        return Constant(array, name=name)
    raise GraphTypeError(
        f"{value!r} of type {type(value).__name__} can't be used in an expression"
        f"{at(user_source())}"
    )


def constant(value: Any, dtype: str | None = None) -> Constant:
    """A constant of a given dtype (by default the value's own)."""
    return Constant(np.asarray(value, dtype=dtype))
