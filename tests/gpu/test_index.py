"""The index algebra of the kernels against NumPy: coordinates, layouts, numbers modulo 2**32."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import backends

SHAPES = [(4, 3), (2, 3, 5), (3, 1, 4), (2, 2, 3, 2)]


@pytest.mark.sim
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("reversed_axes", [0, 1, 5])
def test_layouts(shape: tuple[int, ...], reversed_axes: int) -> None:
    """Every element of an array of any strides is where NumPy finds it."""
    backends.backend("cudasim")
    from tinygrad_mnist.kernels.core.call import Operand
    from tinygrad_mnist.kernels.core.device import cuda
    from tinygrad_mnist.kernels.core.index import at, strided, u32, unravel

    memory = np.arange(2 * prod(shape)).reshape(*shape[:-1], 2 * shape[-1])
    flips = tuple(slice(None, None, -1 if reversed_axes >> d & 1 else 1) for d in range(len(shape)))
    view = memory[..., ::2].T[flips]
    strides = tuple(s // memory.itemsize for s in view.strides)
    operand = Operand("int64", view.shape, strides, base=int(view.flat[0]))
    coordinates, place = unravel(*view.shape[1:]), at(operand)
    by_number = strided(*zip(view.shape, strides, strict=True), base=operand.base)
    n = view.size

    def kernel(places: Any, numbered: Any) -> None:
        with np.errstate(over="ignore"):  # NumPy keeps it per thread
            for i in range(n):
                places[i] = place(*coordinates(u32(i)))
                numbered[i] = by_number(u32(i))

    places, numbered = np.zeros(n, np.int64), np.zeros(n, np.int64)
    cuda.jit(kernel)[1, 1](places, numbered)
    np.testing.assert_array_equal(places, view.ravel())
    np.testing.assert_array_equal(numbered, view.ravel())


@pytest.mark.sim
def test_indices_wrap() -> None:
    """A number below 0 is a large one, and comes back."""
    backends.backend("cudasim")
    from tinygrad_mnist.kernels.core.device import cuda
    from tinygrad_mnist.kernels.core.index import u32, wrapped

    below = wrapped(-3)

    def kernel(out: Any) -> None:
        with np.errstate(over="ignore"):
            i = u32(1) + below
            out[0], out[1], out[2] = i, i + 5, u32(1 << 31) * 2

    out = np.zeros(3, np.int64)
    cuda.jit(kernel)[1, 1](out)
    assert out.tolist() == [2**32 - 2, 3, 0]
