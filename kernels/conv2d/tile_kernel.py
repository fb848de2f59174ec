"""The frame of the kernels of both gradients, whose blocks compute tiles of the result.

A block stages its operands step by step in shared memory. Its threads add up their shares of a tile
in registers, and the sums of those that share an element are added in order at the end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import UNBOUNDED_THREADS, Function, Launch, LaunchShape
from ..core.device import TYPES, cuda, device, quad_loader, shared_array, uint32, uint64
from ..core.index import thread_index, u32
from ..core.integers import ceil_div
from .geometry import Convolution
from .grad_limits import QUAD
from .staging import Part, stager

# Registers for values that a thread has loaded and not yet stored to shared memory. With many sums
# there are fewer; then there is enough arithmetic to wait twice.
ROOM, ROOM_BESIDE_SUMS = 20, 10
MANY_SUMS = 40


class TileKernel(NamedTuple):
    """The parts in which the kernels of the two gradients differ.

    factors, gradients: what a step stages; `where` is (tile, step). zeros: where elements of shared
    memory begin that are set to zero before the first step, and how many there are. first:
    `first()`: the block's first step. steps: of a block; there are no more than all_steps.
    accumulate: `accumulate(memory, sums, tile, step, t, has_nonfinite)` adds what a step has staged
    to a thread's n_sums sums. store: `store(p, memory, sums, tile, t)`; it starts with a barrier.
    shared: elements of shared memory. threads: of the block.
    """

    factors: Part
    gradients: Part
    zeros: tuple[int, int]
    first: Function
    steps: int
    all_steps: int
    accumulate: Function
    store: Function
    n_sums: int
    shared: int
    threads: int


def tile_body(conv: Convolution, kernel: TileKernel) -> Function:
    """The body of a kernel. With a pool it records whether a factor is infinite or NaN: only then
    a gradient of zero has to be left out."""
    begin, n_zeros = kernel.zeros
    first, steps, all_steps = kernel.first, kernel.steps, kernel.all_steps
    store, n_sums, shared, threads = kernel.store, kernel.n_sums, kernel.shared, kernel.threads
    dtype, add_step = TYPES[conv.dtype], _step(conv, kernel)

    def body(p: Any) -> None:
        memory = shared_array(shared, dtype)
        nonfinite = cuda.shared.array(1, uint32)
        t, tile = thread_index(), u32(cuda.blockIdx.y)
        sums = cuda.local.array(n_sums, dtype)
        for k in range(n_sums):
            sums[uint64(k)] = dtype(0)
        if t == 0:
            nonfinite[0] = u32(0)
        if n_zeros > 0:
            i = t
            while i < n_zeros:
                memory[begin + i] = dtype(0)
                i = i + threads
        step = first()
        if steps == 1:  # what depends on the step isn't kept in registers
            add_step(p, memory, nonfinite, sums, tile, step, t)
        else:
            end = min(step + steps, u32(all_steps))
            while step < end:
                add_step(p, memory, nonfinite, sums, tile, step, t)
                step = step + 1
        store(p, memory, sums, tile, t)

    return body


def tile_launch(body: Function, shape: LaunchShape, resident: int) -> Launch:
    """The launch of a kernel; resident: blocks that run at once on a multiprocessor by the model.

    Where the assembler must know the size of a block, it takes all registers that a single one may
    have. A bound leaves some for a second block, which works while the first one waits.
    """
    is_bounded = shape.threads > UNBOUNDED_THREADS
    return Launch(body, shape, resident=min(2, resident) if is_bounded else 0)


def _step(conv: Convolution, kernel: TileKernel) -> Function:
    """`add(p, memory, nonfinite, sums, tile, step, t)`: stages a step, and adds it to the sums."""
    room = ROOM_BESIDE_SUMS if conv.words * kernel.n_sums >= MANY_SUMS else ROOM
    stage = stager(conv.dtype, kernel.threads, (room, room), kernel.factors, kernel.gradients)
    accumulate, pooled = kernel.accumulate, conv.has_pool
    # All threads must have finished the previous step, or the zeros.
    in_order = kernel.steps > 1 or kernel.zeros[1] > 0 or pooled

    def add(p: Any, memory: Any, nonfinite: Any, sums: Any, tile: Any, step: Any, t: Any) -> None:
        if in_order:
            cuda.syncthreads()
        finite = stage(p, memory, (tile, step), t)
        if pooled and not finite:
            nonfinite[0] = u32(1)
        cuda.syncthreads()
        has_nonfinite = pooled and nonfinite[0] != 0
        accumulate(memory, sums, tile, step, t, has_nonfinite)

    return device(add)


def quad_reader(dtype: str, quads: int, first: int = 0, end: int | None = None) -> Function:
    """`read(memory, i, values)`: copies `quads` quads of shared memory, from i on, a multiple of
    QUAD, to a local array. Those that lie before element `first`, or from `end` on, are left out.
    """
    load, end = quad_loader(dtype), quads * QUAD if end is None else end

    def read(memory: Any, i: Any, values: Any) -> None:
        for k in range(0, quads * QUAD, QUAD):
            if k + QUAD > first and k < end:
                a, b, c, d = load(memory, i + k)
                values[uint64(k)] = a
                values[uint64(k + 1)] = b
                values[uint64(k + 2)] = c
                values[uint64(k + 3)] = d

    return device(read)


class Destination(NamedTuple):
    """Where the elements of a tile go.

    locate: `locate(v, tile, step)` is the number in the result of element v of a tile, and whether
    it exists. fetch, settle: as those of a call.
    """

    locate: Function
    fetch: Function
    settle: Function


def combiner(
    dtype_name: str, threads: int, n_outputs: int, split: int, destination: Destination
) -> Function:
    """`combine(p, memory, tile, step, t)`: adds up the sums of a block's threads, which are in
    shared memory as [split][output], and sends them to the destination.

    All threads of a block call this after a barrier, and need another one before they write there
    again. What an epilogue reads is loaded before the sum that it waits for.
    """
    locate, fetch, settle = destination
    zero = TYPES[dtype_name](0)
    parts = max(1, min(threads // n_outputs, split))
    each = ceil_div(split, parts)

    def finish(p: Any, memory: Any, tile: Any, step: Any, v: Any) -> None:
        i, exists = locate(v, tile, step)
        if exists:
            fetched = fetch(i, p)
            total = zero
            for k in range(split if parts == 1 else parts):
                total += memory[uint64(v) + uint64(k * n_outputs)]
            settle(total, fetched, i, p)

    end = device(finish)
    if parts == 1:

        def combine(p: Any, memory: Any, tile: Any, step: Any, t: Any) -> None:
            v = t
            while v < n_outputs:
                end(p, memory, tile, step, v)
                v = v + threads

    else:

        def combine(p: Any, memory: Any, tile: Any, step: Any, t: Any) -> None:
            v, part = t % n_outputs, t // n_outputs
            total = zero
            _, exists = locate(v, tile, step)  # no thread has written the others
            for k in range(each):
                member = part * each + k
                if exists and member < split:
                    total += memory[uint64(v) + uint64(member * n_outputs)]
            cuda.syncthreads()
            memory[t] = total
            cuda.syncthreads()
            if t < n_outputs:
                end(p, memory, tile, step, t)

    return device(combine)
