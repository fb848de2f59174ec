"""gemm: matrix product with an elementwise epilogue.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), any strides, so transposed operands too.

Algorithm: where the work is small, threads share out k (`gemm_split.py`); where arithmetic counts,
tiles in shared memory and registers (`gemm_tiled.py`). `gemm_choice.py` chooses, and how it is cut.
Launch: see those files.
"""

from __future__ import annotations

from .call import Call, Launches, factory
from .gemm_choice import best
from .gemm_operands import problem
from .gemm_split import Split, split_gemm
from .gemm_tiled import tiled_gemm


@factory("gemm")
def gemm(call: Call) -> Launches:
    """One kernel, or two; none where the result is empty."""
    shape = problem(call)
    if shape.m == 0 or shape.n == 0:
        return Launches(())
    cut = best(shape)
    return split_gemm(call, cut) if isinstance(cut, Split) else tiled_gemm(call, cut)
