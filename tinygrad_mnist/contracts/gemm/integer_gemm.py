"""Matrix product of integers.

    integer_gemm: a (m, k), b (k, n) -> (m, n) = a @ b

a, b and the output share one integer dtype, or bool. Sums wrap around as the dtype does, so their
order does not matter. An element of a product of bools is whether one of its terms is true. k may
be 0: the product is then zero. Transposes come as strides.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.base import Array, ArraySpec, Contract, Params, register


def integer_gemm_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """a @ b, which NumPy computes in the dtype of its operands."""
    return [inputs[0] @ inputs[1]]


def integer_gemm_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """None in floating point."""
    return 0


INTEGER_GEMM = register(Contract("integer_gemm", integer_gemm_reference, integer_gemm_flops))
