"""Launches of elementwise kernels, which compute each element from its number.

Neighbouring threads compute neighbouring elements. Small problems get small blocks, to use more
multiprocessors. With more than MAX_BLOCKS blocks of elements, a thread computes several elements in
a grid-stride loop.
"""

from __future__ import annotations

from typing import Any

from .call import Function, Launch, grid_1d
from .device import device
from .index import block_index, counted, grid_index, thread_index
from .integers import blocks_for

MAX_BLOCKS = 8192
STRIDED_BLOCKS, STRIDED_THREADS = 4096, 256  # the most of `each_strided`


def threads_for(n: int) -> int:
    """Threads of a block for n elements."""
    if n >= 2**17:
        return 256
    return 128 if n >= 2**14 else min(64, max(n, 1))


def each(n: int, element: Function) -> Launch:
    """The launch that runs `element(i, p)` for each i (u32) from 0 to n - 1."""
    threads = threads_for(n)
    n_blocks = min(MAX_BLOCKS, blocks_for(n, threads))
    compute, width = device(element), n_blocks * threads

    if n <= width:

        def body(p: Any) -> None:
            i = block_index() * threads + thread_index()
            if i < n:
                compute(i, p)

    else:

        def body(p: Any) -> None:
            i = block_index() * threads + thread_index()
            while i < n:
                compute(counted(i), p)
                i = i + width

    return Launch(body, grid_1d(n_blocks, threads))


def each_strided(n: int, element: Function) -> Launch:
    """The same for n >= 1 elements, with large blocks and always a loop."""
    n_blocks = min(STRIDED_BLOCKS, blocks_for(n, STRIDED_THREADS))
    compute, step = device(element), n_blocks * STRIDED_THREADS

    def body(p: Any) -> None:
        i = grid_index()
        while i < n:
            compute(counted(i), p)
            i = i + step

    return Launch(body, grid_1d(n_blocks, min(STRIDED_THREADS, n)))
