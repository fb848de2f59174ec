"""A kernel from outside of the package: rows of a matrix that an index names, times a number.

    take_scaled: x (n, m), index (k,), extras (k, m) -> epilogue(scale * x[index], extras...) (k, m)

Contract and op are registered while `registered()` lasts; take_scaled_cuda.py has the CUDA kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_mnist import Variable
from tinygrad_mnist.contracts import CONTRACTS, Array, ArraySpec, Contract, Params
from tinygrad_mnist.contracts.core.base import register
from tinygrad_mnist.contracts.core.epilogue import apply_epilogue, epilogue_flops
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.op import OPS
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node
from tinygrad_mnist.ops.kernels import define_kernel

NAME = "take_scaled"


def _reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    x, index, *extras = inputs
    taken = x[index.astype(np.int64)] * x.dtype.type(params["scale"])
    return [apply_epilogue(params, taken, extras, outputs[0])]


def _flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    return outputs[0].size + epilogue_flops(params, outputs[0])


CONTRACT = Contract(
    NAME,
    _reference,
    _flops,
    ints=("scale",),
    tapes=("epilogue",),
    kernel_inputs=2,
    indices=slice(1, 2),
    picked=(0,),
)


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, index = types[:2]
    broadcastable = (index.broadcastable[0], x.broadcastable[1])
    return [TensorType(x.dtype, broadcastable, (index.shape[0], x.shape[1]))]


def _checks(node: Node) -> list[tuple[int, int, int]]:
    n = node.inputs[0].type.static_shape[0]
    return [(1, -n, n)]


@contextmanager
def registered() -> Iterator[None]:
    """The package has the contract and the op inside."""
    register(CONTRACT)
    define_kernel(NAME, _infer, checks=_checks)
    try:
        yield
    finally:
        del CONTRACTS[NAME], OPS[NAME]


def take_scaled(x: Variable, index: Variable, scale: int) -> Variable:
    """The op applied, inside `registered()`."""
    identity = Tape.identity(x.dtype)
    result: Any = OPS[NAME](x, index, scale=scale, epilogue=identity)
    return result  # type: ignore[no-any-return]
