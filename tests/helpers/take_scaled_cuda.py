"""The CUDA kernel of take_scaled.py: a thread an element."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from helpers.take_scaled import NAME, registered
from tinygrad_mnist.kernels.core.call import FACTORIES, Call, Launches, factory
from tinygrad_mnist.kernels.core.device import TYPES, int32, uint32, uint64
from tinygrad_mnist.kernels.core.each import each


def _take_scaled(call: Call) -> Launches:
    """One kernel."""
    n, m = call.inputs[0].shape
    dtype, scale = TYPES[call.inputs[0].dtype], int(call.params["scale"])
    at_x, at_index = call.at[:2]
    finish = call.finishes[0]

    def element(i: Any, p: Any) -> None:
        row = uint32(i // uint32(m))
        column = uint32(i - uint32(row * uint32(m)))
        index = int32(p[1][uint64(at_index(row))])
        if index < 0:
            index = int32(index + n)
        value = p[0][uint64(at_x(uint32(uint32(index) * uint32(m) + column)))]
        finish(dtype(value * dtype(scale)), i, p)

    return Launches((each(call.outputs[0].size, element),))


@contextmanager
def registered_with_kernel() -> Iterator[None]:
    """The package has contract, op and CUDA kernel inside."""
    with registered():
        factory(NAME)(_take_scaled)
        try:
            yield
        finally:
            del FACTORIES[NAME]
