"""Into shared memory and out of it again: what both gradients of convolutions do.

`tile` and `step` tell a function which part of the work is meant; what they are is its kernel's
affair.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Function
from ..core.device import TYPES, cuda, device, load16, uint32, uint64
from ..core.integers import ceil_div

# Registers for what a thread has loaded and not yet put into shared memory. Beside many sums there
# is less room, and time enough to wait twice.
ROUND, ROUND_BESIDE_SUMS = 20, 10
MANY_SUMS = 40


class Staged(NamedTuple):
    """What goes into shared memory: `size` elements, and how each is read and written.

    fetch: `fetch(p, tile, step, i)`, which may depend on no condition, so that the loads of many
    elements can be under way at once. put: `put(memory, i, ...)`, given what `fetch` returned.
    """

    size: int
    fetch: Function
    put: Function


def quad_loader(dtype: str) -> Function:
    """`load(p, i)`: elements i to i + 3 of shared memory, i a multiple of 4."""
    if dtype == "float32":

        def load(p: Any, i: Any) -> Any:
            return load16(p, uint64(i))

    else:

        def load(p: Any, i: Any) -> Any:
            a, b = load16(p, uint64(i))
            c, d = load16(p, uint64(i) + uint64(2))
            return a, b, c, d

    return device(load)


def stager(
    dtype_name: str, threads: int, n_sums: int, factors: Staged, gradients: Staged
) -> Function:
    """`stage(p, memory, tile, step, t)`: brings pixels or weights, and windows of g; whether thread
    t met finite factors only. n_sums: that a thread keeps meanwhile.

    All loads of a round are under way before the first store waits for one.
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
            first_x = uint32(t + uint32(r * x_each * threads))
            first_g = uint32(t + uint32(r * g_each * threads))
            for k in range(x_each):
                x[uint64(k)] = fetch_x(p, tile, step, uint32(first_x + uint32(k * threads)))
            for k in range(g_each):
                value, mask = fetch_g(p, tile, step, uint32(first_g + uint32(k * threads)))
                g[uint64(k)] = value
                masks[uint64(k)] = mask
            for k in range(x_each):
                i = uint32(first_x + uint32(k * threads))
                if i < n_x:
                    put_x(memory, i, x[uint64(k)])
                    finite = finite and x[uint64(k)] - x[uint64(k)] == zero
            for k in range(g_each):
                i = uint32(first_g + uint32(k * threads))
                if i < n_g:
                    put_g(memory, i, g[uint64(k)], masks[uint64(k)])
        return finite

    return device(stage)


def combiner(dtype_name: str, threads: int, n_outputs: int, split: int, emit: Function) -> Function:
    """`combine(p, memory, tile, step, t)`: adds up the sums that a block's threads have left.

    They lie as [split][output] in shared memory; `emit(p, total, output, tile, step)` gets the
    totals. All threads come here together, behind a barrier, and pass one before they go on to
    write there again.
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
                    total += memory[uint64(v + uint32(k * n_outputs))]
                emit(p, total, v, tile, step)
                v = uint32(v + uint32(threads))

    else:

        def combine(p: Any, memory: Any, tile: Any, step: Any, t: Any) -> None:
            v, part = uint32(t % uint32(n_outputs)), uint32(t // uint32(n_outputs))
            total = zero
            for k in range(each):
                member = uint32(uint32(part * uint32(each)) + uint32(k))
                if member < split:
                    total += memory[uint64(v + uint32(member * uint32(n_outputs)))]
            cuda.syncthreads()
            memory[uint64(t)] = total
            cuda.syncthreads()
            if t < n_outputs:
                total = memory[uint64(t)]
                for k in range(1, parts):
                    total += memory[uint64(t + uint32(k * n_outputs))]
                emit(p, total, t, tile, step)

    return device(combine)
