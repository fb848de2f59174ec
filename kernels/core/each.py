"""The launch of kernels that compute their elements one by one, each from its number.

Neighbouring threads have neighbouring elements. Small problems get small blocks, so that more
multiprocessors have some; beyond MAX_BLOCKS a thread takes several elements, a grid's width apart.
"""

from __future__ import annotations

from typing import Any

from .call import Function, Launch, grid_1d
from .device import cuda, device, uint32
from .integers import blocks_for

MAX_BLOCKS = 8192
THREADS, STRIDE_BLOCKS = 256, 4096  # of `grid_stride`


def threads_for(n: int) -> int:
    """Threads of a block for n elements."""
    if n >= 2**17:
        return 256
    return 128 if n >= 2**14 else min(64, max(n, 1))


def grid_stride(n: int, element: Function) -> Launch:
    """Runs `element(i, p)` for i from 0 to n - 1, as uint32, in blocks of THREADS whatever n is.

    n: at least 1.
    """
    n_blocks = min(STRIDE_BLOCKS, blocks_for(n, THREADS))
    compute, width = device(element), n_blocks * THREADS

    def body(p: Any) -> None:
        i = cuda.grid(1)
        while i < n:
            compute(uint32(i), p)
            i += width

    return Launch(body, grid_1d(n_blocks, min(THREADS, n)))


def each(n: int, element: Function) -> Launch:
    """Runs `element(i, p)` for i from 0 to n - 1, as uint32, each in some thread."""
    threads = threads_for(n)
    n_blocks = min(MAX_BLOCKS, blocks_for(n, threads))
    compute, width = device(element), n_blocks * threads

    if n <= width:

        def body(p: Any) -> None:
            i = uint32(uint32(cuda.blockIdx.x * threads) + uint32(cuda.threadIdx.x))
            if i < uint32(n):
                compute(i, p)

    else:

        def body(p: Any) -> None:
            i = uint32(uint32(cuda.blockIdx.x * threads) + uint32(cuda.threadIdx.x))
            while i < uint32(n):
                compute(i, p)
                i = uint32(i + uint32(width))

    return Launch(body, grid_1d(n_blocks, threads))
