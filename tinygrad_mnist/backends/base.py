"""What a backend is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tinygrad_mnist.compile.plan import CONSTANT, TEMPORARY, KernelCall, Plan
from tinygrad_mnist.contracts.base import Array
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.graph.source import at


class Program(Protocol):
    """A plan made ready to run."""

    def run(self, arrays: Sequence[Array], slots: Sequence[int]) -> None:
        """Runs the plan once.

        arrays: C-contiguous, one per bound buffer (see `bound_buffers`), in that order. slots:
        offsets of this run. Raises IndexOutOfRangeError where a range check fails; then no shared
        variable has changed.
        """

    def sweep(
        self, arrays: Sequence[Array], stacked: Sequence[bool], slots: Array
    ) -> tuple[int, IndexOutOfRangeError | None]:
        """Runs the plan once per row of `slots`, an int64 array (steps, slots), without going back
        to Python in between where the backend can.

        stacked: which arrays have a leading axis of steps; the others serve every step. Returns
        how many steps ran whole, and the error of the one that did not.
        """


class Arena(Protocol):
    """Memory for the temporaries of several programs, of which one runs at a time."""

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated at present: what the largest program needs, once one has run."""


class Backend(Protocol):
    """Makes programs of plans.

    name: the value of `config.device`. kernels: names of the kernels that it has. fuses: whether
    plans for it are rewritten to fused kernels.
    """

    name: str
    fuses: bool

    @property
    def kernels(self) -> frozenset[str]: ...

    def arena(self) -> Arena:
        """An arena without programs."""

    def program(self, plan: Plan, arena: Any) -> Program:
        """A program that runs `plan` in an arena of this backend."""


def bound_buffers(plan: Plan) -> list[int]:
    """Numbers of the buffers that are bound to arrays at every run: inputs, shared, outputs."""
    return [i for i, b in enumerate(plan.buffers) if b.kind not in (CONSTANT, TEMPORARY)]


def range_error(call: KernelCall) -> IndexOutOfRangeError:
    """The error of a failed range check."""
    return IndexOutOfRangeError(f"out of range: {call.label}{at(call.source)}")
