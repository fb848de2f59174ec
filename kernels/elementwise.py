"""elementwise: a tape over arrays of one shape.

Shapes: inputs of any layout, broadcast to the outputs' shape. Algorithm: every thread computes one
element after the other, a grid's width apart, with the tape as straight-line code; nothing is read
twice. Launch: 256 threads a block, as many blocks as elements need, up to MAX_BLOCKS.
"""

from __future__ import annotations

from typing import Any

from .call import Call, Launch, Launches, blocks, factory
from .device import cuda, uint32

THREADS = 256
MAX_BLOCKS = 4096  # beyond that a thread takes several elements


@factory("elementwise")
def elementwise(call: Call) -> Launches:
    """One kernel."""
    n, element = call.outputs[0].size, call.element
    n_blocks = min(MAX_BLOCKS, blocks(n, THREADS))
    assert element is not None

    if n <= n_blocks * THREADS:

        def body(p: Any) -> None:
            i = uint32(cuda.grid(1))
            if i < n:
                element(i, p)

    else:
        stride = n_blocks * THREADS

        def body(p: Any) -> None:
            i = cuda.grid(1)
            while i < n:
                element(uint32(i), p)
                i += stride

    return Launches((Launch(body, (n_blocks, 1, 1), (min(THREADS, max(n, 1)), 1, 1)),))
