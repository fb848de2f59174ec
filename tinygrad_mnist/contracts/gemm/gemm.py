"""Matrix product with an elementwise epilogue.

    gemm: a (m, k), b (k, n), extras (m, n) -> (m, n) = epilogue(a @ b, extras...)

a, b and the output share one float dtype. k may be 0: the product is then zero. Transposes come
as strides. All elements add their k terms in one order, which depends on m, n and k alone, not on
strides, the epilogue or the number of threads. Long sums are cut into runs, and the sums of the
runs added: by halves or a tree on the cpu (csrc/kernels/gemm/scheme.hpp), by parts of k on a GPU.
The output may alias an extra input of the same view, as an update in place does.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.epilogue import apply_epilogue, epilogue_flops


def gemm_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(a @ b, extras...)."""
    a, b, *extras = inputs
    return [apply_epilogue(params, a @ b, extras, outputs[0])]


def gemm_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """2 m n k, and the epilogue."""
    return 2 * outputs[0].size * inputs[0].shape[1] + epilogue_flops(params, outputs[0])


GEMM = register(
    Contract(
        "gemm",
        gemm_reference,
        gemm_flops,
        tapes=("epilogue",),
        kernel_inputs=2,
        allows_tf32=True,
    )
)
