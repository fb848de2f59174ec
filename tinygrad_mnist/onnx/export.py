"""`export`: a graph, frozen at the present values of its shared variables, as an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tinygrad_mnist.errors import ExportError, GraphTypeError, MissingInputError, ShapeError
from tinygrad_mnist.files import write_whole
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import leaves, substitute
from tinygrad_mnist.graph.types import TensorType, static_type
from tinygrad_mnist.graph.values import is_integer, several
from tinygrad_mnist.graph.variables import Constant, Variable, described

# Their rules are registered when they are loaded.
from tinygrad_mnist.onnx import elementwise, images, indexing, shapes, sums  # noqa: F401
from tinygrad_mnist.onnx.convert import Converter
from tinygrad_mnist.onnx.graph import Call, Graph, Value
from tinygrad_mnist.onnx.lengths import with_lengths
from tinygrad_mnist.onnx.model import Port, serialised
from tinygrad_mnist.stability import stabilise

BATCH = "batch"  # the name of the first length of an input, where it isn't known

Lengths = Sequence[int | None]


class Net(Protocol):
    """What `export_network` needs of a network: `network3.Network` has it."""

    x: Variable
    output: Variable
    mini_batch_size: int
    layers: Sequence[Any]


def export(
    path: str | os.PathLike[str],
    inputs: Sequence[Variable],
    outputs: Sequence[Variable] | Variable,
    opset: int | None = None,
    names: Mapping[Variable, str] | None = None,
    lengths: Mapping[Variable, Lengths] | None = None,
) -> None:
    """Writes a graph to an ONNX file, whole or not at all.

    inputs: variables to which the reader gives values. outputs: one or several variables. Shared
    variables become initializers with their present values and their names. dtypes are those of the
    graph.
    opset: the version of ONNX's operators; by default the oldest that serves.
    names: of inputs and outputs; by default the variables' own, else `input` and `output`.
    lengths: per input, the length of each axis, None where it may vary. Without it an input's axes
    may have any lengths, unless its type says more; the first axis is named `batch`.

    Raises ExportError, with the user's line, for an op that ONNX doesn't have; MissingInputError
    if the outputs depend on a variable that is not in `inputs`; ImportError without the package
    onnx; OSError if the file can't be written.
    """
    given = _checked(inputs, "inputs")
    wanted = _checked([outputs] if isinstance(outputs, Variable) else outputs, "outputs")
    declared = {v: _declared(v, (lengths or {}).get(v)) for v in given}
    frozen = with_lengths(stabilise(_frozen(wanted, declared)))
    converter = Converter()
    readers = _named(converter.graph, given, names or {}, "input")
    of_outputs = {v: name for v, name in (names or {}).items() if v not in given}
    ports = _named(converter.graph, wanted, of_outputs, "output")
    for v, reader in zip(given, readers, strict=True):
        converter.set_input(declared[v], reader)
    for port, v in zip(ports, frozen, strict=True):
        # An output has a name of its own, also where it is an input or a constant.
        call = Call("Identity", (converter.value(v).name,), (port.name,), {})
        converter.graph.calls.append(call)
    content = serialised(
        converter.graph.used(port.name for port in ports),
        [_port(r, declared[v].type, len(given)) for r, v in zip(readers, given, strict=True)],
        [Port(*port[:2], v.type.shape) for port, v in zip(ports, frozen, strict=True)],
        opset,
        Path(path).stem,
    )
    write_whole(path, content)


def export_network(net: Net, path: str | os.PathLike[str], opset: int | None = None) -> None:
    """Writes a network of `network3` to an ONNX file, whole or not at all.

    Its input `x`, floatX (mini-batch size, pixels), gives `probabilities`, what the last layer
    computes without dropout. The mini-batch size is that of the network: its layers fix it. Errors
    are those of `export`.
    """
    names = {net.x: "x", net.output: "probabilities"}
    lengths = {net.x: (net.mini_batch_size, getattr(net.layers[0], "n_in", None))}
    export(path, [net.x], net.output, opset, names, lengths)


def _checked(given: Any, what: str) -> list[Variable]:
    found = several(given, what, "variables")
    for v in found:
        if not isinstance(v, Variable) or (isinstance(v, Constant) and what == "inputs"):
            raise GraphTypeError(f"{described(v)}; {what} must be variables")
    if len(set(found)) < len(found) or (not found and what == "outputs"):
        raise GraphTypeError(f"{what} must be different variables; an output is needed")
    return list(found)


def _declared(v: Variable, lengths: Lengths | None) -> Variable:
    """An input in place of `v` whose type has the lengths that are known."""
    shape = v.type.shape if lengths is None else tuple(lengths)
    fits = len(shape) == v.ndim and all(
        n is None or (is_integer(n) and n > 0 and m in (None, n))
        for n, m in zip(shape, v.type.shape, strict=False)
    )
    if not fits:
        raise ShapeError(f"the lengths {shape} don't fit {v}, a {v.type}{at(*v.origins)}")
    both = (m if n is None else int(n) for n, m in zip(shape, v.type.shape, strict=True))
    return Variable(TensorType(v.dtype, v.broadcastable, tuple(both)), name=v.name)


def _frozen(outputs: Sequence[Variable], inputs: Mapping[Variable, Variable]) -> list[Variable]:
    """The outputs, of constants in place of shared variables."""
    constants: dict[Variable, Variable] = {}
    for v in leaves(outputs):
        if isinstance(v, SharedVariable) and v not in inputs:
            value = v.get_value()
            constants[v] = Constant(value, name=v.name or "parameter")
            constants[v].type = static_type(v.dtype, value.shape, v.broadcastable)
    frozen = substitute(outputs, {**constants, **inputs})
    for v in leaves(frozen):
        if not isinstance(v, Constant) and v not in inputs.values():
            raise MissingInputError(
                f"the outputs depend on {v}, which is not among the inputs{at(*v.origins)}"
            )
    return frozen


def _named(
    graph: Graph, variables: Sequence[Variable], names: Mapping[Variable, str], default: str
) -> list[Value]:
    """A value for each variable; ExportError for a name in `names` that is taken."""
    values = []
    for v in variables:
        value = Value(graph.name(names.get(v) or v.name or default), v.dtype)
        if names.get(v, value.name) != value.name:
            raise ExportError(f"two inputs or outputs have the name {names[v]!r}")
        values.append(value)
    return values


def _port(value: Value, type: TensorType, n_inputs: int) -> Port:
    """An input with a name for each length that isn't known."""
    shape: list[int | str | None] = list(type.shape)
    for axis, n in enumerate(shape):
        if n is None:
            is_batch = axis == 0 and n_inputs == 1
            shape[axis] = BATCH if is_batch else f"{value.name}_{axis}"
    return Port(value.name, value.dtype, tuple(shape))
