"""A kernel call to try on a GPU: in the simulator, as machine code, and on the device."""

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

# Machine code that no float32 kernel should have: arithmetic in float64, or memory for registers.
DOUBLE = ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX", "F2F.F64", "I2F.F64", "F2I.F64", "MUFU.RCP64H")
LOCAL = ("LDL", "STL")


@dataclass(frozen=True)
class Case:
    """One call.

    make: makes it from a random generator. tolerance: of ‖result - exact‖ / ‖exact‖; None for the
    default of `assert_near`. modes: where it is tried: small ones in all three, real sizes not in
    the simulator. wants: opcodes that one of its kernels has to have, by their beginning, on every
    architecture, or on the one named before a colon ("sm_80:HMMA"). registers: that no thread may
    exceed. doubles: whether float64 arithmetic is right (a float64 kernel). local: whether memory
    of a thread's own is. tf32: whether `config.allow_tf32` is on.
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
        """The same in every mode and process."""
        seed = sum(ord(c) * 31**k for k, c in enumerate(str(self))) % 2**32
        return self.make(np.random.default_rng(seed))

    @property
    def has_float64(self) -> bool:
        """Whether one of its operands is."""
        inputs, outputs, _ = self.problem()
        return any(str(a.dtype) == "float64" for a in (*inputs, *outputs))
