"""A kernel call to test: in the simulator, as machine code, and on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.contracts import ArraySpec

AnyArray = NDArray[Any]

# What a case's `make` returns: inputs, outputs (a spec, or an array to write to, such as an input),
# and the contract's parameters.
Problem = tuple[Sequence[AnyArray], Sequence["ArraySpec | AnyArray"], Mapping[str, Any]]

# Opcodes that no float32 kernel should have: float64 arithmetic, or local memory.
DOUBLE = ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX", "F2F.F64", "I2F.F64", "F2I.F64", "MUFU.RCP64H")
LOCAL = ("LDL", "STL")
PRODUCT = ("FMUL", "DMUL", "HMUL2")  # products that are rounded before they are added


@dataclass(frozen=True)
class Case:
    """One call.

    make: makes it from a random generator. tolerance: of ‖result - exact‖ / ‖exact‖; None for the
    default of `assert_near`. modes: in which it is tested; cases of real sizes are too slow for the
    simulator. wants: prefixes of opcodes that one of its kernels must have on every architecture,
    or on the one before a colon ("sm_80:HMMA"). registers: the most of a thread. doubles: whether
    float64 arithmetic is allowed (a float64 kernel). local: whether local memory is. tf32: the
    value of `config.allow_tf32`.
    """

    name: str
    kernel: str
    make: Callable[[np.random.Generator], Problem] = field(compare=False)
    tolerance: float | None = None
    modes: tuple[str, ...] = ("sim", "compile", "gpu")
    wants: tuple[str, ...] = ()
    registers: int = 255
    doubles: bool = False
    local: bool = False
    tf32: bool = False

    def __str__(self) -> str:
        return f"{self.kernel}-{self.name}"

    def problem(self) -> Problem:
        """The inputs, outputs and parameters; the same in every mode and process."""
        seed = sum(ord(c) * 31**k for k, c in enumerate(str(self))) % 2**32
        return self.make(np.random.default_rng(seed))

    @property
    def is_empty(self) -> bool:
        """Whether one of its arrays has no elements."""
        inputs, outputs, _ = self.problem()
        return any(0 in a.shape for a in (*inputs, *outputs))

    @property
    def has_float64(self) -> bool:
        """Whether one of its operands is float64."""
        inputs, outputs, _ = self.problem()
        return any(str(a.dtype) == "float64" for a in (*inputs, *outputs))
