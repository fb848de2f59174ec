"""integer_gemm: products of matrices of integers.

Shapes: a (m, k), b (k, n) -> (m, n), of one integer dtype or bool, of any strides.

Algorithm: a thread adds up the terms of an element in int64, which wraps. If there are few elements
and many terms, several lanes share an element: each takes every so many-th term, and their sums
meet in shared memory. Neighbouring threads have neighbouring columns, so accesses to the rows of b
are coalesced, and those to a are broadcast.

Launch: up to 256 threads a block, a block for up to 32 columns of a row. Reference:
contracts/gemm/integer_gemm.py; results are exact.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Launch, Launches, factory, grid_1d
from ..core.device import cuda, int64, shared_array
from ..core.index import block_index, thread_index, u32
from ..core.integers import ceil_div, power_of_two

COLUMNS = 32  # of a block, at most
THREADS = 256  # of a block, at most
ENOUGH = 1 << 15  # elements that occupy a large GPU with one lane each
SHORT = 32  # terms that one lane adds at least


@factory("integer_gemm")
def integer_gemm(call: Call) -> Launches:
    """One launch."""
    (m, k), n = call.inputs[0].shape, call.inputs[1].shape[1]
    if m == 0 or n == 0:
        return Launches(())
    columns = min(COLUMNS, power_of_two(n))
    lanes = 1 if m * n >= ENOUGH else min(THREADS // columns, power_of_two(ceil_div(k, SHORT)))
    per_row, size = ceil_div(n, columns), columns * lanes
    at_a, at_b, store = call.at[0], call.at[1], call.stores[0]

    def body(p: Any) -> None:
        shared = shared_array(size, int64)
        t, block = thread_index(), block_index()
        lane = t // columns
        row = block // per_row
        strip = block - row * per_row
        column = strip * columns + t % columns
        total = int64(0)
        if column < n:
            term = lane
            while term < k:
                x = int64(p[0][at_a(row * k + term)])
                y = int64(p[1][at_b(term * n + column)])
                total = int64(total + int64(x * y))
                term = term + lanes
        shared[t] = total
        half = u32(lanes // 2)
        while half > 0:
            cuda.syncthreads()
            if lane < half:
                other = t + half * columns
                shared[t] = int64(shared[t] + shared[other])
            half = half // 2
        if lane == 0 and column < n:
            store(shared[t], row * n + column, p)

    return Launches((Launch(body, grid_1d(m * per_row, size)),))
