"""The plans of a function that is cut, together."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad_mnist.compile.plan import KernelCall, Plan


@dataclass(frozen=True)
class SegmentedPlan:
    """The plans of one call of a function that is cut, in the order in which they ran. It prints as
    their listings."""

    plans: tuple[Plan, ...]

    @property
    def backend(self) -> str:
        """The backend that they are for."""
        return self.plans[0].backend

    @property
    def calls(self) -> tuple[KernelCall, ...]:
        """The calls of all plans."""
        return tuple(call for plan in self.plans for call in plan.calls)

    @property
    def flops(self) -> int:
        """Arithmetic operations of one run, dense, without those of the host."""
        return sum(plan.flops for plan in self.plans)

    @property
    def nbytes(self) -> int:
        """Bytes that the calls of one run have to read and write at least."""
        return sum(plan.nbytes for plan in self.plans)

    @property
    def arena_bytes(self) -> int:
        """Memory of temporaries; the plans share it."""
        return max(plan.arena_bytes for plan in self.plans)

    def __str__(self) -> str:
        n = len(self.plans)
        return "\n\n".join(f"segment {i} of {n}: {p}" for i, p in enumerate(self.plans, 1))
