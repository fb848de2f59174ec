"""Random numbers as a pure function of a key and a step counter (Philox4x32-10).

The key identifies a draw of a stream. The counter is shared state that a default update advances,
so each call of a function draws new numbers, and the same seed repeats all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.contracts.core.tape import Instruction, Tape, run_tape
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import TensorType, static_type, tensor_type
from tinygrad_mnist.graph.variables import HostValues, Node, Op, Variable
from tinygrad_mnist.ops.kernels import TAPE
from tinygrad_mnist.ops.shape import dimshuffle


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    if types[0].ndim != 0 or types[0].dtype != "int64":
        raise GraphTypeError(f"the step counter of a random stream is int64, not {types[0]}")
    return [tensor_type(params["dtype"], params["broadcastable"])]


def _specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    lengths = tuple(host.by_value(n) for n in node.inputs[1:])
    if any(n < 0 for n in lengths):
        raise ShapeError(f"{lengths} is not a shape: lengths can't be negative")
    return [_STATIC_UNIFORM(inputs[0], **node.params, shape=lengths)]


# step counter, lengths -> floats in [0, 1); params key (64 bits), dtype, broadcastable
UNIFORM = register_op(Op("uniform", _infer, None, n_connected=0, specialise=_specialise))


def _tape(params: Params) -> Tape:
    return Tape(params["dtype"], 1, (Instruction("uniform", (0,), key=params["key"]),), (1,))


def _static_type(params: Params) -> TensorType:
    return static_type(params["dtype"], params["shape"], params["broadcastable"])


def _static_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return run_tape(_tape(params), inputs, outputs)


def _lower(node: Node) -> list[Variable]:
    step = dimshuffle(node.inputs[0], *("x",) * node.outputs[0].ndim)
    return [TAPE(step, tape=_tape(node.params), types=(_static_type(node.params),))]


_STATIC_UNIFORM = register_op(
    Op(
        "static_uniform",
        lambda params, types: [_static_type(params)],
        _static_reference,
        lower=_lower,
    )
)
