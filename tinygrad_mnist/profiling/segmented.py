"""The profile of a function that is cut: one for each of its plans."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad_mnist.profiling.records import Profile


@dataclass(frozen=True)
class SegmentedProfile:
    """The profiles of the plans of a function that is cut. Prints as their tables.

    name: of the function. segments: a profile for each plan that ran, in the order in which they
    first ran. step_seconds: time of a whole call that was not timed, host included: the median.
    """

    name: str
    segments: tuple[Profile, ...]
    step_seconds: float

    def __str__(self) -> str:
        total = f"a whole call of {self.name}: {self.step_seconds * 1e6:.1f} us"
        return "\n\n".join([*map(str, self.segments), total])
