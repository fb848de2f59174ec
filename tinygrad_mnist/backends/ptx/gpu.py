"""A `Gpu` that runs the PTX of the kernels on the processor; see `backends/cuda/gpu.py`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends.cuda.code import Advance, Code, Listing, machine_code
from tinygrad_mnist.backends.cuda.design import Capability, Design
from tinygrad_mnist.backends.cuda.gpu import (
    Bound,
    Loaded,
    LoadedKernel,
    Memory,
    Recording,
    Replay,
)
from tinygrad_mnist.backends.cuda.operands import Operand, Pointer
from tinygrad_mnist.backends.cuda.workers import compile_codes
from tinygrad_mnist.backends.ptx.machine import Kernel, Shape, launch
from tinygrad_mnist.backends.ptx.memory import Allocation, Window, operand_window
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.contracts.core.base import Array

# The state's words; see kernels/core/entry.py.
_STEP, _FAILED, _WORDS = 0, 1, 4


Recipe = Design | Advance  # what this device's kernels are made from


class Place(NamedTuple):
    """A pointer. start: in bytes."""

    memory: Allocation
    start: int


class _Handle(NamedTuple):
    """A kernel, and the call that it belongs to."""

    kernel: Kernel
    design: Recipe
    workspace_bytes: int


class PtxGpu:
    """See `gpu.Gpu`.

    observer: checks all launches and collects what is wrong. Without one, an access outside of an
    operand is a PtxError.
    """

    name = "PTX on the processor"
    backend = "ptx"

    def __init__(self, observer: Observer | None = None, capability: Capability = (9, 0)) -> None:
        self.capability = capability
        self.observer = observer
        self._loaded: dict[Recipe, Loaded] = {}

    def allocate(self, nbytes: int) -> Memory:
        return Allocation(nbytes, self.observer is not None)

    def pointer(self, memory: Any, dtype: str, offset: int) -> Place:
        return Place(memory, offset * np.dtype(dtype).itemsize)

    def upload(self, memory: Any, array: Array) -> None:
        memory.data[: array.nbytes] = array.reshape(-1).view(np.uint8)
        if memory.written is not None:
            memory.written[: array.nbytes] = True

    def download(self, memory: Any, array: Array) -> None:
        array.reshape(-1).view(np.uint8)[...] = memory.data[: array.nbytes]

    def load(self, designs: Sequence[Design]) -> list[Loaded]:
        # With them the kernel that every program needs, so that all are compiled at once.
        return self._load([*designs, Advance(self.capability)])[:-1]

    def load_advance(self) -> LoadedKernel:
        return self._load([Advance(self.capability)])[0].kernels[0]

    def _load(self, recipes: Sequence[Recipe]) -> list[Loaded]:
        missing = [Listing(recipe) for recipe in recipes if recipe not in self._loaded]
        for listing, code in machine_code(missing, compile_codes).items():
            assert isinstance(listing, Listing)
            self._loaded[listing.of] = _loaded(listing.of, code, self.observer is not None)
        return [self._loaded[recipe] for recipe in recipes]

    def record(self, launches: Sequence[Bound]) -> Recording:
        return Replay(launches, self._run)

    def time(self, launches: Sequence[Bound]) -> list[float]:
        """The time of the processor; a GPU's isn't known."""
        points = [perf_counter()]
        for one in launches:
            self._run(one)
            points.append(perf_counter())
        return [end - begin for begin, end in pairwise(points)]

    def synchronize(self) -> None:
        """Does nothing: all work is done when it is started."""

    def peak(self, dtype: str) -> None:
        """Unknown."""

    def bandwidth(self, nbytes: int) -> None:
        """Unknown."""

    def _run(self, bound: Bound) -> None:
        if self.observer is not None:
            words = bound.state[0].memory.view(np.dtype(np.int64))
            self.observer.checks_unwritten = words[_FAILED] == 0
        kernel, shape, parameters, windows = bound_launch(bound)
        launch(kernel, shape, parameters, windows, self.observer)


def bound_launch(bound: Bound) -> tuple[Kernel, Shape, list[int], list[Window]]:
    """The arguments of `machine.launch` for a launch."""
    handle: _Handle = bound.kernel.handle
    windows = _windows(bound, handle)
    parameters = [*(w.base for w in windows), bound.ahead]
    return handle.kernel, Shape(*bound.kernel.shape), parameters, windows


def recipe_of(bound: Bound) -> Recipe:
    """What the kernel of a launch was made from."""
    handle: _Handle = bound.kernel.handle
    return handle.design


def _loaded(recipe: Recipe, code: Code, follows: bool) -> Loaded:
    kernels = []
    for k in code.kernels:
        kernel = Kernel(k.cubin.decode(), recipe.kernel, follows)
        handle = _Handle(kernel, recipe, code.workspace_bytes)
        kernels.append(LoadedKernel(handle, k.pointers, k.shape))
    return Loaded(tuple(kernels), code.workspace_bytes, code.workspace_dtype)


def _windows(bound: Bound, handle: _Handle) -> list[Window]:
    """The memory that each parameter but the last points to, and the part of it that this step of
    the kernel may access."""
    words, table = bound.state
    windows = []
    design = handle.design
    if isinstance(design, Design):
        state = words.memory.view(np.dtype(np.int64))
        row = int(state[_STEP]) + bound.ahead
        for k, operand in enumerate(design.operands):
            name = f"input {k}" if k < design.n_inputs else f"output {k - design.n_inputs}"
            begin = (
                _moved(bound.operands[k], table, row * bound.width)
                * np.dtype(operand.dtype).itemsize
            )
            reach = (begin, begin + _nbytes(operand))
            windows.append(_window(k, name, bound.pointers[k], reach, k >= design.n_inputs))
        for place in bound.pointers[len(design.operands) :]:
            windows.append(
                _window(len(windows), "workspace", place, (0, handle.workspace_bytes), True)
            )
    writes = isinstance(design, Advance) or design.note > 0
    windows.append(_window(len(windows), "state", words, (0, _WORDS * 8), writes))
    rest = table.memory.nbytes - table.start
    windows.append(_window(len(windows), "step table", table, (0, rest), False))
    return windows


def _window(number: int, name: str, place: Place, reach: tuple[int, int], writable: bool) -> Window:
    return operand_window(number, name, place.memory, place.start, reach, writable)


def _moved(pointer: Pointer, table: Place, begin: int) -> int:
    """The elements by which the kernel moves an operand's pointer in a step, whose row of the table
    begins at this entry."""
    if not pointer.moves:
        return 0
    entries = table.memory.view(np.dtype(np.int64))[table.start // 8 :]
    return pointer.offset + sum(int(entries[begin + c]) * n for c, n in pointer.moves)


def _nbytes(operand: Operand) -> int:
    """From the first byte of an operand to its last one."""
    if 0 in operand.shape:
        return 0
    reach = sum((n - 1) * abs(s) for n, s in zip(operand.shape, operand.strides, strict=True))
    return (reach + 1) * np.dtype(operand.dtype).itemsize
