"""Elementwise expressions as straight-line code, and their NumPy interpreter.

A tape computes in one dtype (float32, float64 or int64). Its inputs are converted to that dtype
when they are loaded, its results to the dtype of the output when they are stored; comparisons
give 0 or 1 in the tape's dtype. Values are numbered: inputs first, then instructions in order.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """One operation of a tape.

    op: name of the operation, a key of `OPCODES`.
    args: numbers of the values that it reads.
    immediate: the value of a `const`.
    key: the Philox key of a `uniform`.
    """

    op: str
    args: tuple[int, ...] = ()
    immediate: float = 0.0
    key: int = 0


@dataclass(frozen=True)
class Tape:
    """A sequence of instructions over `n_inputs` inputs; `outputs` are numbers of values."""

    dtype: str
    n_inputs: int
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    @staticmethod
    def identity(dtype: str) -> Tape:
        """The tape that returns its only input."""
        return Tape(dtype, 1, (), (0,))

    @property
    def is_identity(self) -> bool:
        """Whether the tape returns its first input unchanged."""
        return not self.instructions and self.outputs == (0,)
