"""The index algebra of the kernels against NumPy: coordinates, layouts, numbers modulo 2**32."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from helpers.ptx import pairs, run

from tinygrad_mnist import backends
from tinygrad_mnist.backends.cuda.compiler import compile_to_ptx
from tinygrad_mnist.backends.cuda.make import Kernel

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


def _operations(u32: Any) -> Any:
    """Every operator of x and y, and some with constants: as a function of numbers of 32 bits."""

    def arithmetic(x: Any, y: Any) -> Any:
        s, d, m = x, x, x
        s += y
        d -= y
        m *= y
        a, o, e = x, x, x
        a &= y
        o |= y
        e ^= y
        return x + y, x - y, x * y, x & y, x | y, x ^ y, s, d, m, a, o, e

    def quotients(x: Any, y: Any) -> Any:
        d = y | 1
        f, r = x, x
        f //= d
        r %= d
        both = divmod(x, d)
        return x // d, x % d, f, r, both[0], both[1]

    def shifts(x: Any, y: Any) -> Any:
        n = y % 32
        left, right = x, x
        left <<= n
        right >>= n
        return x << n, x >> n, left, right, x << 31, x >> 1

    def comparisons(x: Any, y: Any) -> Any:
        few = u32(x < y) | u32(x <= y) << 1 | u32(x > y) << 2
        more = u32(x >= y) | u32(x == y) << 1 | u32(x != y) << 2
        return few, more, u32(x < 4294967295), u32(x == 4294967295)

    def constants(x: Any, y: Any) -> Any:
        return x + 4294967295, 5 - x, x * 4294967293, 7 // (y | 1), x % 10, x ^ 4294967295

    return arithmetic, quotients, shifts, comparisons, constants


@pytest.mark.ptx
@pytest.mark.parametrize("number", range(5))
def test_operators_on_a_device(number: int) -> None:
    """Their results, stored as uint32, are those of NumPy's uint32, also where they wrap."""
    from tinygrad_mnist.kernels.core.call import grid_1d
    from tinygrad_mnist.kernels.core.device import device
    from tinygrad_mnist.kernels.core.index import thread_index, u32

    ends = [0, 1, 2, 31, 2**16, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
    x, y = (np.asarray(column, np.uint32) for column in pairs(ends))
    n = len(x)
    with np.errstate(over="ignore"):
        expected = np.array(
            [_operations(np.uint32)[number](a, b) for a, b in zip(x, y, strict=True)]
        ).T
    operate, n_results = device(_operations(u32)[number]), len(expected)

    def body(p: Any, state: Any, step: Any) -> None:
        i = thread_index()
        results = operate(u32(p[0][i]), u32(p[1][i]))
        for k in range(n_results):
            p[2][i + k * n] = results[k]

    kernel = Kernel(body, ("uint32",) * 3, grid_1d(1, n))
    text = compile_to_ptx(kernel, (9, 0))
    unused = [8] * 3  # two words of the state, and the step
    arrays, observer = run(text, [x, y, 4 * expected.size, *unused], n, inputs=2)
    assert observer.findings == []
    np.testing.assert_array_equal(arrays[2].view(np.uint32).reshape(expected.shape), expected)


@pytest.mark.sim
@pytest.mark.parametrize("n", [0, 5])
def test_ravel_takes_one_to_four_axes(n: int) -> None:
    backends.backend("cudasim")
    from tinygrad_mnist.kernels.core.call import Operand
    from tinygrad_mnist.kernels.core.index import at, ravel

    with pytest.raises(ValueError, match=f"one to four strides, not {n}"):
        ravel(*[1] * n)
    with pytest.raises(ValueError, match=f"one to four strides, not {n}"):
        at(Operand("float32", (1,) * n, (1,) * n))
