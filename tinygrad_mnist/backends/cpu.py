"""The cpu backend: plans run in C++, one native call per run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from tinygrad_mnist.backends.base import (
    Arena,
    Operand,
    Phase,
    Program,
    Timeline,
    Timings,
    bound_buffers,
    range_error,
)
from tinygrad_mnist.compile.plan import CONSTANT, TEMPORARY, KernelCall, Plan, View
from tinygrad_mnist.config import config, refuse_environment
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.contracts.core.tape import FLOATS, OPCODES, Tape
from tinygrad_mnist.errors import IndexOutOfRangeError, ShapeError
from tinygrad_mnist.graph.source import at

_SIMD = "TINYGRAD_MNIST_SIMD"

try:
    import tinygrad_mnist._native as _native
except ModuleNotFoundError as error:
    raise ImportError(
        "tinygrad_mnist's native module is not beside its sources: install with pip install . and "
        "start Python outside the source folder, or with pip install -e . to work in it"
    ) from error
except ImportError as error:
    if os.environ.get(_SIMD):  # read when the module is imported
        refuse_environment(_SIMD, str(error))
    raise

# What the native module has to have: the package's own, without what a program registers later.
_KERNELS = frozenset(name for name, contract in CONTRACTS.items() if not contract.gpu_only)
_OPCODES = frozenset(OPCODES)
_PROCESSORS = _native.threads()  # before a program sets another number


@cache
def native_kernels() -> frozenset[str]:
    """The native module's kernels.

    Raises ImportError where the module was built from older sources than the package's.
    """
    kernels = frozenset(_native.kernels())
    missing = sorted({*(_KERNELS - kernels), *(_OPCODES - frozenset(_native.opcodes()))})
    if missing:
        raise ImportError(
            f"tinygrad_mnist's native module is older than its Python sources: it lacks "
            f"{', '.join(missing)}. Rebuild it: pip install --no-build-isolation -e . "
            "(see CONTRIBUTING.md). A contract without a C++ kernel needs gpu_only=True"
        )
    return kernels


# The kind; the offset in the arena, the address, or the number of the bound address; the bytes.
NativeBuffer = tuple[str, int] | tuple[str, int, int]


class CpuProgram:
    """A plan as a native program, with the constants that it reads."""

    def __init__(self, plan: Plan, arena: Any) -> None:
        self._plan = plan
        self._constants: list[Array] = []
        buffers = self._native_buffers(plan)
        calls = [_native_call(c) for c in plan.calls]
        try:
            self._native = _native.Program(buffers, calls, plan.depends, plan.arena_bytes, arena)
        except (ValueError, OverflowError, RuntimeError) as error:
            for call, native in zip(plan.calls, calls, strict=True):
                _check_call(call, native, buffers, plan.arena_bytes)
            raise error

    def _native_buffers(self, plan: Plan) -> list[NativeBuffer]:
        position = {number: i for i, number in enumerate(bound_buffers(plan))}
        buffers: list[NativeBuffer] = []
        for number, buffer in enumerate(plan.buffers):
            if buffer.kind == TEMPORARY:
                buffers.append(("arena", buffer.offset))
            elif buffer.kind == CONSTANT:
                assert buffer.value is not None
                self._constants.append(np.ascontiguousarray(buffer.value))
                constant = self._constants[-1]
                buffers.append(("fixed", constant.ctypes.data, constant.nbytes))
            else:
                buffers.append(("bind", position[number], buffer.nbytes))
        return buffers

    @property
    def workspace_bytes(self) -> int:
        return int(self._native.workspace_bytes)

    def run(self, arrays: Sequence[Operand], slots: Sequence[int]) -> None:
        apply_threads()
        failed = self._native.run(arrays, slots)
        if failed:
            raise range_error(self._plan.calls[failed - 1])

    def sweep(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> IndexOutOfRangeError | None:
        """Runs the plan once per row of `slots`, in one native call; see `Program`."""
        apply_threads()
        failed = self._native.sweep(arrays, _step_bytes(arrays, stacked), slots, progress)
        return self._error(failed)

    def profile(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> tuple[Timings, IndexOutOfRangeError | None]:
        """A sweep with every call timed; see `Program`."""
        times, error = self._timed(self._native.profile, arrays, stacked, slots, progress)
        return Timings(times[:, 0], times[:, 1:-1], times[:, -1]), error

    def timeline(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> tuple[Timeline, IndexOutOfRangeError | None]:
        """A sweep that records when each chunk ran; see `ChunkProgram`."""
        times, error = self._timed(self._native.timeline, arrays, stacked, slots, progress)
        begins, ends, members = np.moveaxis(times[:, :-1], 2, 0)
        timeline = Timeline(self.phases, begins, ends, members.astype(np.int64), times[:, -1, :2])
        return timeline, error

    def _timed(
        self,
        sweep: Callable[..., tuple[int, Array]],
        arrays: Sequence[Operand],
        stacked: Sequence[bool],
        slots: Array,
        progress: Array,
    ) -> tuple[Array, IndexOutOfRangeError | None]:
        """A native sweep that returns times: those of the steps that it did, and its error."""
        apply_threads()
        before = int(progress[0])
        failed, times = sweep(arrays, _step_bytes(arrays, stacked), slots, progress)
        return times[: int(progress[0]) - before], self._error(failed)

    @property
    def phases(self) -> list[Phase]:
        """The phases that have chunks, in the order in which threads come to them."""
        return [Phase(*phase) for phase in self._native.phases]

    def _error(self, failed: int) -> IndexOutOfRangeError | None:
        """The error of the native code's answer: 0, or 1 + the number of the call that failed."""
        return range_error(self._plan.calls[failed - 1]) if failed else None


def _check_call(
    call: KernelCall, native: Any, buffers: Sequence[NativeBuffer], arena_bytes: int
) -> None:
    """Raises ShapeError if the native code can't run a call: with the call's shapes and line."""
    try:
        _native.Program(buffers, [native], [[]], arena_bytes, _native.Arena())
    except (ValueError, OverflowError, RuntimeError) as error:
        is_value = isinstance(error, ValueError)
        why = str(error) if is_value else f"{call.kernel}: a number is too large for 64 bits"
        shapes = ", ".join(str(view.layout.shape) for view in (*call.outputs, *call.inputs))
        raise ShapeError(f"{why}; shapes {shapes}{at(*call.origins)}") from None


def _step_bytes(arrays: Sequence[Array], stacked: Sequence[bool]) -> list[int]:
    """How far each array's address moves from step to step."""
    return [a.strides[0] if s else 0 for a, s in zip(arrays, stacked, strict=True)]


def instruction_sets() -> list[str]:
    """Those compiled in that this processor has, best last."""
    return _native.targets()


@contextmanager
def instruction_set(name: str | None) -> Iterator[None]:
    """Programs that are made in the block use this instruction set; None: the present one."""
    before = _native.target()
    try:
        if name is not None:
            _native.set_target(name)
        yield
    finally:
        _native.set_target(before)


def apply_threads() -> None:
    """Gives the native team the configured number of threads, by default one per processor."""
    wanted = _PROCESSORS if config.threads is None else config.threads
    if wanted != _native.threads():
        _native.set_threads(wanted)


def _native_view(view: View) -> tuple[Any, ...]:
    layout = view.layout
    return (
        view.buffer,
        view.dtype,
        list(layout.shape),
        list(layout.strides),
        layout.offset,
        list(layout.slots),
    )


def _native_tape(tape: Tape) -> tuple[Any, ...]:
    instructions = [(i.op, list(i.args), i.immediate, i.key) for i in tape.instructions]
    return (tape.dtype, tape.n_inputs, instructions, list(tape.outputs))


def _native_call(call: KernelCall) -> tuple[Any, ...]:
    return (
        call.kernel,
        [_native_view(v) for v in call.inputs],
        [_native_view(v) for v in call.outputs],
        CONTRACTS[call.kernel].flat_ints(call.params),
        [_native_tape(t) for t in call.tapes],
    )


def run_kernel(
    name: str, inputs: Sequence[Array], outputs: Sequence[Array], params: Mapping[str, Any]
) -> None:
    """One call of a kernel on arrays of any strides, without a plan: it writes the outputs.

    Raises ValueError where the operands don't fit the kernel, or an array begins between two
    elements.
    """
    apply_threads()
    arrays = [*inputs, *outputs]
    views: list[tuple[Any, ...]] = [
        (k, a.dtype.name, list(a.shape), [s // a.itemsize for s in a.strides], 0, [])
        for k, a in enumerate(arrays)
    ]
    n = len(inputs)
    call: tuple[Any, ...] = (name, views[:n], views[n:], CONTRACTS[name].flat_ints(params), [])
    buffers = [("bind", k) for k in range(len(arrays))]
    program = _native.Program(buffers, [call], [()], 0)
    program.run([a.ctypes.data for a in arrays], [])


class CpuBackend:
    """C++ kernels, fused forms included, run by a team of threads."""

    name = "cpu"
    fuses = True
    keeps_shared = False
    compiles = False
    # Not sigmoid and softplus, which fall by a unit in the last place here and there.
    rising = frozenset(product(("tanh", "exp", "expm1", "arctan"), FLOATS))
    keeps_depth = False  # threads that meet cost more than calls that could have run earlier

    @property
    def kernels(self) -> frozenset[str]:
        return native_kernels()

    @property
    def target(self) -> str:
        return _native.target()

    @property
    def threads(self) -> int:
        apply_threads()
        return _native.threads()

    def peak(self, dtype: str) -> float:
        """That of all threads together, with the present target; takes about 50 ms."""
        return _native.measure_peak(dtype, self.threads)

    def bandwidth(self, nbytes: int) -> float:
        """That of all threads together, each in its own part; takes about 50 ms, or longer where
        `nbytes` is more than the caches hold."""
        return _native.measure_bandwidth(nbytes, self.threads)

    def arena(self) -> Arena:
        return _native.Arena()

    def prepare(self, plans: Sequence[Plan]) -> None:
        """Does nothing: kernels are compiled already."""

    def program(self, plan: Plan, arena: Any) -> Program:
        return CpuProgram(plan, arena)
