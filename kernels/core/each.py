"""Launches of elementwise kernels, which compute each element from its number.

Neighbouring threads compute neighbouring elements. Small problems get small blocks, to use more
multiprocessors. With more than MAX_BLOCKS blocks of elements, a thread computes several elements in
a grid-stride loop.
"""

from __future__ import annotations

from typing import Any

from .call import Function, Launch, LaunchShape, grid_1d
from .device import cuda, device, uint32
from .integers import blocks_for

MAX_BLOCKS = 8192
STRIDED_BLOCKS = 4096  # the most of `strided_grid`


def threads_for(n: int) -> int:
    """Threads of a block for n elements."""
    if n >= 2**17:
        return 256
    return 128 if n >= 2**14 else min(64, max(n, 1))


def strided_grid(n: int, threads: int) -> LaunchShape:
    """A grid for a grid-stride loop over n >= 1 elements; its step is grid[0] * threads."""
    n_blocks = min(STRIDED_BLOCKS, blocks_for(n, threads))
    return grid_1d(n_blocks, min(threads, n))


def each(n: int, element: Function) -> Launch:
    """The launch that runs `element(i, p)` for each i (uint32) from 0 to n - 1."""
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
