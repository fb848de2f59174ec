"""Kernel-level ops: those that a backend runs as they are.

`lower` turns the ops that users meet into these, and the fusion rules join them: a tape may be
the prologue of a reduction or the epilogue of a matrix product. The reference of each is that of
its contract, so a kernel's arithmetic is written once.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import TensorType, compute_dtype
from tinygrad_mnist.graph.variables import Checks, Infer, Infix, Op, Specialise, Variable, Vjp

REDUCTIONS = ("sum", "prod", "max", "min")  # in the order of the native kernel's `op` parameter


def define_kernel(
    name: str,
    infer: Infer,
    checks: Checks | None = None,
    vjp: Vjp | None = None,
    specialise: Specialise | None = None,
    shown: str | None = None,
    infix: Infix | None = None,
) -> Op:
    """Registers the op of a contract; the other arguments are rules of `Op`."""
    return register_op(
        Op(
            name,
            infer,
            CONTRACTS[name].reference,
            vjp,
            specialise=specialise,
            contract=name,
            checks=checks,
            shown=shown,
            infix=infix,
        )
    )


def full_type(types: Sequence[TensorType], dtype: str) -> TensorType:
    """The type over which operands of equal rank and known shape are combined."""
    broadcastable = tuple(
        all(flags) for flags in zip(*(t.broadcastable for t in types), strict=True)
    )
    lengths = tuple(
        next((t.shape[i] for t in types if not t.broadcastable[i]), 1) for i in range(types[0].ndim)
    )
    return TensorType(dtype, broadcastable, lengths)


def _tape_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    results: tuple[TensorType, ...] = params["types"]
    for t in types:
        if t.ndim != results[0].ndim or any(
            n not in (1, m) for n, m in zip(t.shape, results[0].shape, strict=True)
        ):
            raise ShapeError(f"an operand of type {t} doesn't fill {results[0]}")
    return list(results)


# operands of equal rank, any dtypes -> one result per output of the tape; params tape, types
TAPE = define_kernel("elementwise", _tape_infer)


def _reduce_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    full = full_type(types[: params["n_prologue"]], params["dtype"])
    mask = params["axes_mask"]
    kept = [not mask >> i & 1 for i in range(full.ndim)]
    broadcastable = tuple(b or not k for b, k in zip(full.broadcastable, kept, strict=True))
    lengths = tuple(n if k else 1 for n, k in zip(full.shape, kept, strict=True))
    return [TensorType(params["dtype"], broadcastable, lengths)]


# prologue inputs, epilogue inputs -> reduced; params op, axes_mask, n_prologue, prologue,
# epilogue, dtype
REDUCE = define_kernel("reduce", _reduce_infer)


def plain_reduce(name: str, x: Variable, axes: Sequence[int], dtype: str) -> Variable:
    """The reduction of `x` without prologue or epilogue; the axes keep length 1."""
    compute = compute_dtype(dtype)
    return REDUCE(
        x,
        op=REDUCTIONS.index(name),
        axes_mask=sum(1 << a for a in axes),
        n_prologue=1,
        prologue=Tape.identity(compute),
        epilogue=Tape.identity(compute),
        dtype=dtype,
    )


def _gemm_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    a, b = types[:2]
    return [
        TensorType(
            params["dtype"],
            (a.broadcastable[0], b.broadcastable[1]),
            (a.shape[0], b.shape[1]),
        )
    ]


# a (m, k), b (k, n), epilogue inputs (m, n) -> (m, n); params epilogue, dtype
GEMM = define_kernel("gemm", _gemm_infer)


def _integer_gemm_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    a, b = types
    return [TensorType(a.dtype, (a.broadcastable[0], b.broadcastable[1]), (a.shape[0], b.shape[1]))]


# a (m, k), b (k, n), of one integer dtype or bool -> (m, n)
INTEGER_GEMM = define_kernel("integer_gemm", _integer_gemm_infer)


def _check_range_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return []


# integers -> nothing; the program stops where one is outside [low, high)
CHECK_RANGE = define_kernel("check_range", _check_range_infer)
