"""The values of inputs that keep one from call to call, while a call sets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions.arguments import Parameter, convert
from tinygrad_mnist.functions.sweep import swept
from tinygrad_mnist.graph.shared import SharedVariable


@contextmanager
def states_set(values: Sequence[Any], parameters: Sequence[Parameter]) -> Iterator[None]:
    """Stores the arguments of inputs that keep a value in their shared variables. An exception
    restores the values from before if no step completes."""
    before: list[tuple[SharedVariable, Array]] = []
    try:
        for value, p in zip(values, parameters, strict=True):
            if p.state is not None and value is not None:
                array = convert(value, p)
                before.append((p.state, p.state.get_value()))
                p.state.set_value(array)
        yield
    except BaseException as error:
        done = swept(error)
        # An interrupt outside a sweep may come after the step.
        none_done = isinstance(error, Exception) if done is None else done.steps == 0
        if none_done:
            for shared, old in before:
                shared.set_value(old)
        raise
