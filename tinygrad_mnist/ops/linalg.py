"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.base import Array, ArraySpec, Params
from tinygrad_mnist.contracts.tape import Tape
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.op import Op, as_variable, register_op
from tinygrad_mnist.graph.operators import word
from tinygrad_mnist.graph.types import FLOATS, TensorType, upcast
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import cast, mul, settle_constants
from tinygrad_mnist.ops.kernels import GEMM
from tinygrad_mnist.ops.shape import dimshuffle


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    a, b = types
    if None not in (a.shape[1], b.shape[0]) and a.shape[1] != b.shape[0]:
        raise ShapeError(f"the product of {a.shape} and {b.shape}: {a.shape[1]} != {b.shape[0]}")
    return [TensorType(a.dtype, (a.broadcastable[0], b.broadcastable[1]), (a.shape[0], b.shape[1]))]


def _reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    epilogue = Tape.identity(outputs[0].dtype)
    return CONTRACTS["gemm"].reference({"epilogue": epilogue}, inputs, outputs)


def _vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    (a, b), g = node.inputs, cotangents[0]
    assert g is not None
    return [_DOT(g, b.T), _DOT(a.T, g)]


def _lower(node: Node) -> list[Variable]:
    dtype = node.outputs[0].dtype
    return [GEMM(*node.inputs, epilogue=Tape.identity(dtype), dtype=dtype)]


# (m, k), (k, n) -> (m, n), both of the same float dtype
_DOT = register_op(Op("dot", _infer, _reference, vjp=_vjp, lower=_lower))


@word
def dot(x: Any, y: Any) -> Variable:
    """The product of vectors and matrices as `numpy.dot` has it; a 0-d operand multiplies.

    Integers are computed in floatX. Raises GraphTypeError for more than 2 dimensions and
    ShapeError where inner lengths differ.
    """
    a, b = settle_constants([as_variable(x), as_variable(y)])
    if a.ndim == 0 or b.ndim == 0:
        return mul(a, b)
    if a.ndim > 2 or b.ndim > 2:
        raise GraphTypeError(f"dot takes vectors and matrices, not {a.type} and {b.type}")
    dtype = upcast(a.dtype, b.dtype)
    dtype = dtype if dtype in FLOATS else config.floatX
    left = cast(a if a.ndim == 2 else dimshuffle(a, "x", 0), dtype)
    right = cast(b if b.ndim == 2 else dimshuffle(b, 0, "x"), dtype)
    product = _DOT(left, right)
    return dimshuffle(product, *([0] if a.ndim == 2 else []), *([1] if b.ndim == 2 else []))
