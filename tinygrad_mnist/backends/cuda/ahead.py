"""Kernels compiled ahead, on a machine without a GPU: a `Gpu` that compiles and computes nothing.

With TINYGRAD_MNIST_CUDA_COMPILE_FOR=9.0 in its environment, a program that uses the device `cuda`
runs as always, but its kernels are only compiled, for GPUs of compute capability 9.0. Its results
are zeros. See `tinygrad-mnist compile`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends.cuda.code import Advance, Code, machine_code
from tinygrad_mnist.backends.cuda.design import Capability, Design
from tinygrad_mnist.backends.cuda.gpu import Bound, Loaded, LoadedKernel, Memory, Recording
from tinygrad_mnist.backends.cuda.workers import compile_codes
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import DeviceError

COMPILE_FOR = "TINYGRAD_MNIST_CUDA_COMPILE_FOR"


def wanted_capability() -> Capability | None:
    """The compute capability that this process compiles for, instead of using a GPU; None as a
    rule. Raises DeviceError if the variable has no such number."""
    text = os.environ.get(COMPILE_FOR)
    if not text:
        return None
    return capability_of(text)


def capability_of(text: str) -> Capability:
    """A compute capability from text such as '9.0' or 'sm_90'; DeviceError for other text."""
    found = re.fullmatch(r"(?:sm_)?(\d{1,2})\.?(\d)", text)
    if found is None:
        raise DeviceError(f"a compute capability is a number such as 9.0, not {text!r}")
    return int(found[1]), int(found[2])


class _Words:
    """Memory without content, but for the state's words, which count steps."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.words: Array | None = None


class _Pointer(NamedTuple):
    memory: _Words


class _Count:
    """A recording whose replay only counts its steps."""

    def __init__(self, launches: Sequence[Bound]) -> None:
        self._last = launches[-1]

    def replay(self) -> None:
        words = self._last.state[0].memory.words
        words[0] += self._last.ahead


class CompilingGpu:
    """See `gpu.Gpu`. It says once, on standard error, that nothing is computed."""

    backend = "cuda"

    def __init__(self, capability: Capability) -> None:
        self.capability = capability
        self.name = f"a GPU of compute capability {capability[0]}.{capability[1]}"
        self._loaded: dict[Design | Advance, Loaded] = {}
        print(
            f"tinygrad_mnist: {COMPILE_FOR} is set: kernels for {self.name} are compiled, and"
            " nothing is computed",
            file=sys.stderr,
            flush=True,
        )

    def allocate(self, nbytes: int) -> Memory:
        return _Words(nbytes)

    def pointer(self, memory: Any, dtype: str, offset: int) -> Any:
        return _Pointer(memory)

    def upload(self, memory: Any, array: Array) -> None:
        memory.words = array.reshape(-1)[:4].copy() if array.dtype == np.int64 else None

    def download(self, memory: Any, array: Array) -> None:
        array[...] = 0
        if memory.words is not None and array.dtype == np.int64:
            array.reshape(-1)[:4] = memory.words[: array.size]

    def load(self, designs: Sequence[Design]) -> list[Loaded]:
        return self._load([*designs, Advance(self.capability)])[:-1]

    def load_advance(self) -> LoadedKernel:
        return self._load([Advance(self.capability)])[0].kernels[0]

    def _load(self, recipes: Sequence[Design | Advance]) -> list[Loaded]:
        missing = [recipe for recipe in recipes if recipe not in self._loaded]
        codes = machine_code(missing, compile_codes)
        for recipe in missing:
            self._loaded[recipe] = _loaded(codes[recipe])
        return [self._loaded[recipe] for recipe in recipes]

    def record(self, launches: Sequence[Bound]) -> Recording:
        return _Count(launches)

    def time(self, launches: Sequence[Bound]) -> list[float]:
        _Count(launches).replay()
        return [0.0] * len(launches)

    def synchronize(self) -> None:
        """Does nothing: there is no work."""

    def peak(self, dtype: str) -> None:
        """Unknown."""

    def bandwidth(self, nbytes: int) -> None:
        """Unknown."""


def _loaded(code: Code) -> Loaded:
    kernels = tuple(LoadedKernel(None, k.pointers, k.shape) for k in code.kernels)
    return Loaded(kernels, code.workspace_bytes, code.workspace_dtype)
