"""Data as runs of steps, pass after pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions import Function, LiveSweep


@dataclass(frozen=True, eq=False)
class Run:
    """Steps that one sweep makes, or one step that is a call. sizes: the number of samples of
    each."""

    function: Function
    arguments: tuple[Any, ...]
    sizes: Array
    is_call: bool

    def make(self, watch: Callable[[LiveSweep], object] | None = None) -> list[Array]:
        """Makes the steps; returns their outputs, stacked."""
        if self.is_call:
            return [output[None] for output in self.function(*self.arguments)]
        outputs: list[Array] = self.function.sweep(*self.arguments, watch=watch)
        return outputs


class Source(Protocol):
    """Data of one pass after the other."""

    @property
    def n_steps(self) -> int | None:
        """How many steps a pass has, if that is known."""

    def runs(self, single: bool) -> Iterator[Run]:
        """The runs of the next pass. single: one step in each, a call."""

    def restart(self) -> None:
        """Begins the next pass at the first batch, which is what evaluations do."""

    def release(self) -> None:
        """Gives memory back; a later pass loads the data anew."""


def warn_of_end() -> None:
    """Says in Keras's words that data ended before the steps did."""
    warnings.warn(
        "Your input ran out of data; interrupting training. Make sure that your dataset or "
        "generator can generate at least `steps_per_epoch * epochs` batches. You may need to "
        "use the `.repeat()` function when building your dataset.",
        stacklevel=2,
    )
