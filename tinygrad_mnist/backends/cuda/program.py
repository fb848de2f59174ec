"""A plan on a GPU: memory laid out once, launches recorded once and replayed for every step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.backends.base import Operand, Timings, bound_buffers, range_error
from tinygrad_mnist.backends.cuda.design import design_plan, step_columns, table_width
from tinygrad_mnist.backends.cuda.gpu import Bound, Gpu, Loaded, Memory, Recording
from tinygrad_mnist.backends.cuda.operands import ALIGNMENT
from tinygrad_mnist.backends.cuda.ranges import ranged
from tinygrad_mnist.backends.cuda.residence import resident
from tinygrad_mnist.backends.interrupts import interrupts_deferred
from tinygrad_mnist.compile.depends import dependencies
from tinygrad_mnist.compile.plan import CONSTANT, OUTPUT, SHARED, TEMPORARY, Plan
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.graph.shared import SharedVariable

# Steps of a large recording: one graph runs so many steps and advances the counter once.
STEPS_TOGETHER = 16
# Steps that are started before the host waits, so that interrupts are handled soon.
STEPS_AHEAD = 256
# The state's words, as in kernels/core/entry.py; the step table follows them.
STEP, FAILED, FAILED_STEP = range(3)
WORDS = 4


class CudaArena:
    """Memory for temporaries and kernels' scratch memory; as large as the largest program needs."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._memory: Callable[[], Memory | None] = lambda: None  # programs own it
        self._programs: weakref.WeakSet[CudaProgram] = weakref.WeakSet()

    def add(self, program: CudaProgram) -> None:
        """From now on the program gives the memory back where it must grow."""
        self._programs.add(program)

    @property
    def nbytes(self) -> int:
        memory = self._memory()
        return 0 if memory is None else memory.nbytes

    def memory(self, nbytes: int) -> Memory:
        """At least `nbytes` of memory. If it must grow, its content is lost."""
        memory = self._memory()
        if memory is None or memory.nbytes < nbytes:
            memory = None
            for program in self._programs:  # both at once might not fit
                program.forget_memory()
            memory = self.gpu.allocate(nbytes)
            self._memory = weakref.ref(memory)
        return memory


class _Staging:
    """Device memory of one program, which grows on demand: inputs, outputs, the step table."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._memory: dict[Any, Memory] = {}

    def memory(self, key: Any, nbytes: int) -> Memory:
        memory = self._memory.get(key)
        if memory is None or memory.nbytes < nbytes:
            self._memory.pop(key, None)
            memory = self._memory[key] = self._gpu.allocate(max(nbytes, 1))
        return memory


class CudaProgram:
    """See `backends.base.Program`. Shared variables stay on the device from run to run."""

    def __init__(self, plan: Plan, arena: CudaArena) -> None:
        self._plan = plan
        self._arena = arena
        self._gpu = gpu = arena.gpu
        self._calls = design_plan(plan, gpu.capability)
        self._loaded: list[Loaded] = gpu.load([c.design for c in self._calls])
        self._bound = bound_buffers(plan)
        self._columns = step_columns(plan)
        self._width = table_width(plan)
        self._used = {p.buffer for c in self._calls for p in c.pointers}
        self._staging = _Staging(gpu)
        self._constants = self._upload_constants()
        self._scratch, self._arena_bytes = self._scratch_offsets(plan.arena_bytes)
        self._updated = {
            v.buffer for c in plan.calls for v in c.outputs if plan.buffers[v.buffer].kind == SHARED
        }
        self._memory_of: dict[Any, Memory] = {}
        self._recordings: dict[int, Recording] = {}
        arena.add(self)

    @property
    def workspace_bytes(self) -> int:
        return self._arena_bytes - self._plan.arena_bytes

    def _scratch_offsets(self, end: int) -> tuple[list[int], int]:
        """Where each call's scratch memory begins in the arena, after the temporaries, and the size
        of the arena. Calls share no scratch memory, because they may run concurrently.
        """
        offsets = []
        for loaded in self._loaded:
            offsets.append(-(-end // ALIGNMENT) * ALIGNMENT)
            if loaded.workspace_bytes:
                end = offsets[-1] + loaded.workspace_bytes
        return offsets, end

    def _upload_constants(self) -> dict[int, Memory]:
        constants = {}
        for number, buffer in enumerate(self._plan.buffers):
            if buffer.kind == CONSTANT and number in self._used:
                assert buffer.value is not None
                value = np.ascontiguousarray(buffer.value)
                constants[number] = self._gpu.allocate(max(value.nbytes, 1))
                self._gpu.upload(constants[number], value)
        return constants

    # --- runs ---------------------------------------------------------------------------------

    @ranged("run")
    def run(self, arrays: Sequence[Operand], slots: Sequence[int]) -> None:
        with interrupts_deferred():
            table = np.array(slots, dtype=np.int64).reshape(1, -1)
            error = self.sweep(arrays, [False] * len(arrays), table, np.zeros(1, np.int64))
        if error is not None:
            raise error

    @ranged("sweep")
    def sweep(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> IndexOutOfRangeError | None:
        """Runs the plan once for each row of `slots`; see `Program`."""
        n_steps = len(slots)
        with interrupts_deferred():
            self._bring_in(arrays, stacked, slots)
        try:
            for begin in range(0, n_steps, STEPS_AHEAD):
                with interrupts_deferred():
                    self._start(min(n_steps - begin, STEPS_AHEAD))
                    if begin + STEPS_AHEAD < n_steps:
                        self._gpu.synchronize()
        finally:
            with interrupts_deferred():
                error = self._bring_out(arrays, progress)
        return error

    @ranged("profile", always=True)
    def profile(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> tuple[Timings, IndexOutOfRangeError | None]:
        """A sweep with every call timed; see `Program`.

        Kernels run one at a time, so the times of a step add up to more than its time in a graph.
        """
        with interrupts_deferred():
            self._bring_in(arrays, stacked, slots)
            launches = self._sequence(1)
            calls = [k for k, loaded in enumerate(self._loaded) for _ in loaded.kernels]
            times = np.zeros((len(slots), len(self._calls)))
            for step in range(len(slots)):
                durations = self._gpu.time(launches)
                np.add.at(times[step], calls, durations[:-1])
            before = int(progress[0])
            error = self._bring_out(arrays, progress)
        times = times[: int(progress[0]) - before]
        ends = np.cumsum(times.sum(axis=1))
        return Timings(ends - times.sum(axis=1), times, ends), error

    def _start(self, n_steps: int) -> None:
        """Starts `n_steps` steps."""
        while n_steps:
            together = STEPS_TOGETHER if n_steps >= STEPS_TOGETHER else 1
            if together not in self._recordings:
                self._recordings[together] = self._gpu.record(self._sequence(together))
            self._recordings[together].replay()
            n_steps -= together

    # --- memory -------------------------------------------------------------------------------

    def forget_memory(self) -> None:
        """Drops what refers to the arena's memory; the next run asks for it again."""
        self._memory_of = {}
        self._recordings.clear()

    def _bring_in(self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array) -> None:
        """Copies inputs, slots and the step table to the device; starts the counter at 0."""
        n_steps = len(slots)
        memory: dict[Any, Memory] = dict(self._constants)
        memory["arena"] = self._arena.memory(max(self._arena_bytes, 1))
        state = np.zeros(WORDS + n_steps * self._width, np.int64)
        table = state[WORDS:].reshape(n_steps, self._width)
        table[:, : slots.shape[1]] = slots
        for number, array, has_steps in zip(self._bound, arrays, stacked, strict=True):
            if isinstance(array, SharedVariable):
                copy = resident(array, self._gpu)
                memory[number] = copy.memory
                copy.is_newer = copy.is_newer or number in self._updated
            elif number in self._used:
                memory[number] = self._staging.memory(number, array.nbytes)
                if self._plan.buffers[number].kind != OUTPUT:
                    self._gpu.upload(memory[number], np.ascontiguousarray(array))
                if has_steps:
                    elements = self._plan.buffers[number].size
                    table[:, self._columns[number]] = np.arange(n_steps) * elements
        memory["state"] = self._staging.memory("state", state.nbytes)
        self._gpu.upload(memory["state"], state)
        if memory != self._memory_of:
            self._memory_of = memory
            self._recordings.clear()

    def _bring_out(self, arrays: Sequence[Operand], progress: Array) -> IndexOutOfRangeError | None:
        """Waits for all steps and copies outputs to the host. Adds the number of complete steps to
        `progress`, and returns the error of the step that failed, or None."""
        words = np.empty(WORDS, np.int64)
        self._gpu.download(self._memory_of["state"], words)
        for number, array in zip(self._bound, arrays, strict=True):
            if self._plan.buffers[number].kind == OUTPUT and number in self._used:
                assert isinstance(array, np.ndarray)
                self._gpu.download(self._memory_of[number], array)
        failed = int(words[FAILED])
        progress += words[FAILED_STEP if failed else STEP]
        return range_error(self._plan.calls[failed - 1]) if failed else None

    # --- launches -----------------------------------------------------------------------------

    def _sequence(self, steps: int) -> list[Bound]:
        """The launches of `steps` steps; the last one advances the counter, after all others."""
        # A call also waits for calls of the step before: for itself at least, with its scratch
        # memory, since it writes the same buffers.
        waits = dependencies(self._plan.buffers, self._plan.calls * steps)
        of_calls = [self._launches(number) for number in range(len(self._calls))]
        launches: list[Bound] = []
        # The launches after which each call is done: its last one. A call with an empty result has
        # no launches: then those that it would wait for.
        done: list[tuple[int, ...]] = []
        for ahead in range(steps):
            for of_call in of_calls:
                after = tuple({index for earlier in waits[len(done)] for index in done[earlier]})
                for launch in of_call:
                    launches.append(launch._replace(ahead=ahead, after=after))
                    after = (len(launches) - 1,)
                done.append(after)
        waited_for = {index for launch in launches for index in launch.after}
        ends = tuple(index for index in range(len(launches)) if index not in waited_for)
        advance = Bound(self._gpu.load_advance(), (), self._state(), steps, ends)
        return [*launches, advance]

    def _launches(self, number: int) -> list[Bound]:
        """The launches of one call in the first step of a recording."""
        call, loaded = self._calls[number], self._loaded[number]
        pointers = [
            self._pointer(p.buffer, o.dtype, p.offset, bool(p.moves))
            for p, o in zip(call.pointers, call.design.operands, strict=True)
        ]
        if loaded.workspace_bytes:
            offset = self._scratch[number] // np.dtype(loaded.workspace_dtype).itemsize
            scratch = self._gpu.pointer(self._memory_of["arena"], loaded.workspace_dtype, offset)
            pointers.append(scratch)
        return [
            Bound(k, tuple(pointers), self._state(), 0, (), call.pointers, self._width)
            for k in loaded.kernels
        ]

    def _state(self) -> tuple[Any, Any]:
        state = self._memory_of["state"]
        return self._gpu.pointer(state, "int64", 0), self._gpu.pointer(state, "int64", WORDS)

    def _pointer(self, number: int, dtype: str, offset: int, moves: bool) -> Any:
        """A pointer into a buffer of the plan. moves: whether the kernel adds the offset itself."""
        buffer = self._plan.buffers[number]
        offset = 0 if moves else offset
        if buffer.kind == TEMPORARY:
            itemsize = np.dtype(dtype).itemsize
            assert buffer.offset % itemsize == 0
            return self._gpu.pointer(
                self._memory_of["arena"], dtype, buffer.offset // itemsize + offset
            )
        return self._gpu.pointer(self._memory_of[number], dtype, offset)
