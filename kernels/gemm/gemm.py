"""gemm: matrix product with an elementwise epilogue.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), any strides, so transposed operands too.

Algorithm: for small products the threads of a block divide k (`split.py`). For large ones tiles are
in shared memory and registers (`tiled.py`), or on tensor cores if factors may be rounded to tf32
(`tensor.py`). `choice.py` chooses the algorithm and the cut. Both kernels of tiles have the loop of
`pipeline.py` and the copies of `stage.py`; `operands.py` has the loads and stores of all three.

Launch, and versions tried: see those files. Reference: contracts/gemm/gemm.py.
"""

from __future__ import annotations

from ..core.call import Call, Launches, factory
from .choice import best
from .operands import problem
from .split import Split, split_gemm
from .tensor import tensor_gemm
from .tiled import Tiling, tiled_gemm

TENSOR_CAPABILITY = (8, 0)  # the first whose tensor cores take tf32


@factory("gemm")
def gemm(call: Call) -> Launches:
    """One kernel or two; none if the result is empty."""
    shape = problem(call)
    if shape.m == 0 or shape.n == 0:
        return Launches(())
    cut = best(shape, call.allow_tf32 and call.capability >= TENSOR_CAPABILITY)
    if isinstance(cut, Split):
        return split_gemm(call, cut)
    return tiled_gemm(call, cut) if isinstance(cut, Tiling) else tensor_gemm(call, cut)
