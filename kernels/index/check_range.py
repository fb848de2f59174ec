"""check_range: whether all elements of an index are in range.

Shapes: index of any shape, layout and integer dtype.

Algorithm: every thread checks elements in a grid-stride loop, and returns whether all are in range.

Launch: as for elementwise kernels (`each.py`), with fewer blocks. Reference:
contracts/index/check_range.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Launch, Launches, factory, grid_1d
from ..core.device import cuda, int64
from ..core.each import threads_for
from ..core.index import u32
from ..core.integers import blocks_for

MAX_BLOCKS = 1024


@factory("check_range")
def check_range(call: Call) -> Launches:
    """One kernel."""
    n, at = call.inputs[0].size, call.at[0]
    low, high = int(call.params["low"]), int(call.params["high"])
    threads = threads_for(n)
    n_blocks = min(MAX_BLOCKS, blocks_for(n, threads))
    width = n_blocks * threads

    def body(p: Any) -> Any:
        fine = True
        i = cuda.grid(1)
        while i < n:
            value = int64(p[0][at(u32(i))])
            if value < low or value >= high:
                fine = False
            i += width
        return fine

    return Launches((Launch(body, grid_1d(n_blocks, threads), checks=True),))
