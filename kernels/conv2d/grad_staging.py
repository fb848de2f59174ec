"""Staging in shared memory, and the frame of a kernel, for both gradients of convolutions.

`tile` and `step` are the numbers of a tile of the result and of a step of its sum. Each kernel has
its own tiles and steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Function
from ..core.device import TYPES, cuda, device, load16, shared_array, uint32, uint64
from ..core.index import thread_index, u32
from ..core.integers import ceil_div
from .geometry import Convolution

# Registers for values that a thread has loaded and not yet stored to shared memory. With many sums
# there are fewer; then there is enough arithmetic to wait twice.
ROUND, ROUND_BESIDE_SUMS = 20, 10
MANY_SUMS = 40


class Staged(NamedTuple):
    """An operand in shared memory: `size` elements.

    fetch: `fetch(p, tile, step, i)` loads element i, without a branch, so that many loads run
    concurrently. put: `put(memory, i, ...)` stores what `fetch` returned.
    """

    size: int
    fetch: Function
    put: Function


def quad_loader(dtype: str) -> Function:
    """`load(p, i)`: elements i to i + 3 of shared memory, i a multiple of 4."""
    if dtype == "float32":

        def load(p: Any, i: Any) -> Any:
            return load16(p, i)

    else:

        def load(p: Any, i: Any) -> Any:
            a, b = load16(p, i)
            c, d = load16(p, i + 2)
            return a, b, c, d

    return device(load)


def stager(
    dtype_name: str, threads: int, n_sums: int, factors: Staged, gradients: Staged
) -> Function:
    """`stage(p, memory, tile, step, t)`: stages factors (pixels or weights) and windows of g;
    returns whether all factors of thread t are finite. n_sums: sums that a thread has in registers.

    All loads of a round start before the first store waits for one.
    """
    dtype = TYPES[dtype_name]
    zero = dtype(0)
    n_x, fetch_x, put_x = factors
    n_g, fetch_g, put_g = gradients
    words = 2 if dtype_name == "float64" else 1
    room = ROUND_BESIDE_SUMS if words * n_sums >= MANY_SUMS else ROUND

    def share(n: int, rounds: int) -> int:
        return max(1, ceil_div(n, threads * rounds))

    rounds = 1
    while words * share(n_x, rounds) + (words + 1) * share(n_g, rounds) > room:
        rounds += 1
    x_each, g_each = share(n_x, rounds), share(n_g, rounds)

    def stage(p: Any, memory: Any, tile: Any, step: Any, t: Any) -> Any:
        x = cuda.local.array(x_each, dtype)
        g = cuda.local.array(g_each, dtype)
        masks = cuda.local.array(g_each, uint32)
        finite = True
        for r in range(rounds):
            first_x = t + r * x_each * threads
            first_g = t + r * g_each * threads
            for k in range(x_each):
                x[uint64(k)] = fetch_x(p, tile, step, first_x + k * threads)
            for k in range(g_each):
                value, mask = fetch_g(p, tile, step, first_g + k * threads)
                g[uint64(k)] = value
                masks[uint64(k)] = mask
            for k in range(x_each):
                i = first_x + k * threads
                if i < n_x:
                    put_x(memory, i, x[uint64(k)])
                    finite = finite and x[uint64(k)] - x[uint64(k)] == zero
            for k in range(g_each):
                i = first_g + k * threads
                if i < n_g:
                    put_g(memory, i, g[uint64(k)], u32(masks[uint64(k)]))
        return finite

    return device(stage)


class TileKernel(NamedTuple):
    """The parts in which the kernels of the two gradients differ.

    prepare: `prepare(memory, t)`, before the first step. in_order: whether a step needs a barrier
    before it: behind `prepare`, or another step. span: `span()`: the block's first step and the end
    of its steps. accumulate: `accumulate(memory, sums, tile, step, t, has_nonfinite)` adds
    what a step has staged to a thread's n_sums sums. store: `store(p, memory, sums, tile, t)`; it
    starts with a barrier. shared: elements of shared memory. threads: of the block.
    """

    prepare: Function
    in_order: bool
    span: Function
    accumulate: Function
    store: Function
    n_sums: int
    shared: int
    threads: int


def tile_body(
    conv: Convolution, kernel: TileKernel, factors: Staged, gradients: Staged
) -> Function:
    """The body of a kernel whose blocks compute tiles of the result, and stage their operands step
    by step. With a pool it records whether a factor is infinite or NaN."""
    prepare, in_order, span, accumulate, store, n_sums, shared, threads = kernel
    stage = stager(conv.dtype, threads, n_sums, factors, gradients)
    dtype, pooled = TYPES[conv.dtype], conv.has_pool
    in_order = in_order or pooled

    def body(p: Any) -> None:
        memory = shared_array(shared, dtype)
        nonfinite = cuda.shared.array(1, uint32)
        t, tile = thread_index(), u32(cuda.blockIdx.y)
        sums = cuda.local.array(n_sums, dtype)
        for k in range(n_sums):
            sums[uint64(k)] = dtype(0)
        if t == 0:
            nonfinite[0] = u32(0)
        prepare(memory, t)
        step, end = span()
        while step < end:
            if in_order:
                cuda.syncthreads()
            finite = stage(p, memory, tile, step, t)
            if pooled and not finite:
                nonfinite[0] = u32(1)
            cuda.syncthreads()
            has_nonfinite = pooled and nonfinite[0] != 0
            accumulate(memory, sums, tile, step, t, has_nonfinite)
            step = step + 1
        store(p, memory, sums, tile, t)

    return body


def combiner(dtype_name: str, threads: int, n_outputs: int, split: int, emit: Function) -> Function:
    """`combine(p, memory, tile, step, t)`: adds up the sums of a block's threads.

    They are in shared memory as [split][output]; `emit(p, total, output, tile, step)` receives the
    totals. All threads of a block call this after a barrier, and need another one before they write
    there again.
    """
    zero = TYPES[dtype_name](0)
    parts = max(1, min(threads // n_outputs, split))
    each = ceil_div(split, parts)

    if parts == 1:

        def combine(p: Any, memory: Any, tile: Any, step: Any, t: Any) -> None:
            v = t
            while v < n_outputs:
                total = zero
                for k in range(split):
                    total += memory[uint64(v) + uint64(k * n_outputs)]
                emit(p, total, v, tile, step)
                v = v + threads

    else:

        def combine(p: Any, memory: Any, tile: Any, step: Any, t: Any) -> None:
            v, part = t % n_outputs, t // n_outputs
            total = zero
            for k in range(each):
                member = part * each + k
                if member < split:
                    total += memory[uint64(v) + uint64(member * n_outputs)]
            cuda.syncthreads()
            memory[t] = total
            cuda.syncthreads()
            if t < n_outputs:
                total = memory[t]
                for k in range(1, parts):
                    total += memory[uint64(t) + uint64(k * n_outputs)]
                emit(p, total, t, tile, step)

    return device(combine)
