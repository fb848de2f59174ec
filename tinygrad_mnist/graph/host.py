"""What ops may ask about integers that live on the host, outside the plan's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from tinygrad_mnist.graph.variables import Variable


class Offset(NamedTuple):
    """Where a slice starts: a number known to the plan, or a slot that each call fills.

    value: the start, in elements of the sliced axis; 0 where `slot` gives it.
    slot: number of the slot, or None.
    """

    value: int
    slot: int | None = None


class HostValues(Protocol):
    """Integer scalars of the call that is being specialised; see `compile.host`."""

    def knows(self, scalar: Variable) -> bool:
        """Whether the host can compute `scalar`; what else it is asked for is an error if not."""

    def by_value(self, scalar: Variable) -> int:
        """The value of `scalar`; it becomes part of what the plan is chosen by."""

    def slice(
        self, start: Variable | None, stop: Variable | None, step: int, length: int
    ) -> tuple[Offset, int]:
        """Start and length of a slice, clamped to `length` as NumPy does. The length becomes part
        of what the plan is chosen by, the start does not."""

    def index(self, scalar: Variable, length: int) -> Offset:
        """An index into a dimension of that length; checked at every call."""
