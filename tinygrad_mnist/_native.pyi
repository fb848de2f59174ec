from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_Buffer = tuple[str, int] | tuple[str, int, int]
_View = tuple[int, str, list[int], list[int], int, list[tuple[int, int]]]
_Tape = tuple[str, int, list[tuple[str, list[int], float, int]], list[int]]
_Call = tuple[str, list[_View], list[_View], list[int], list[_Tape]]

_Array = np.ndarray[Any, np.dtype[Any]]
_Address = int | _Array  # an array: the address of its first element

def targets() -> list[str]: ...
def target() -> str: ...
def set_target(name: str) -> None: ...
def kernels() -> list[str]: ...
def opcodes() -> list[str]: ...
def threads() -> int: ...
def set_threads(threads: int) -> None: ...
def measure_peak(dtype: str = "float32", threads: int = 1) -> float: ...
def rounded(op: str, mode: int, a: _Array, b: _Array, c: _Array) -> _Array: ...
def measure_bandwidth(bytes: int, threads: int = 1) -> float: ...

class Arena:
    @property
    def nbytes(self) -> int: ...

class Program:
    def __init__(
        self,
        buffers: Iterable[_Buffer],
        calls: Iterable[_Call],
        depends: Sequence[Sequence[int]],
        arena_bytes: int,
        arena: Arena | None = None,
    ) -> None: ...
    def run(self, addresses: Sequence[_Address], slots: Sequence[int]) -> int: ...
    def sweep(
        self,
        addresses: Sequence[_Address],
        step_bytes: Sequence[int],
        slots: np.ndarray[Any, np.dtype[np.int64]],
        progress: np.ndarray[Any, np.dtype[np.int64]],
    ) -> int: ...
    def profile(
        self,
        addresses: Sequence[_Address],
        step_bytes: Sequence[int],
        slots: np.ndarray[Any, np.dtype[np.int64]],
        progress: np.ndarray[Any, np.dtype[np.int64]],
    ) -> tuple[int, np.ndarray[Any, np.dtype[np.float64]]]: ...
    def timeline(
        self,
        addresses: Sequence[_Address],
        step_bytes: Sequence[int],
        slots: np.ndarray[Any, np.dtype[np.int64]],
        progress: np.ndarray[Any, np.dtype[np.int64]],
    ) -> tuple[int, np.ndarray[Any, np.dtype[np.float64]]]: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def workspace_bytes(self) -> int: ...
    @property
    def phases(self) -> list[tuple[int, int, int, list[int]]]: ...
