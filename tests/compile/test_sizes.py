"""Sizes beyond 2**63 are errors that show the shape and the user's line; none wraps around."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.native import tape_of

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import _native
from tinygrad_mnist.backends.cuda.operands import Pointer, TooLargeError, operand
from tinygrad_mnist.compile.plan import View
from tinygrad_mnist.contracts.core.sizes import fits, n_elements
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.layout import Layout
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

BIG, N = 2**40, T.lscalar("n")
V = T.fvector("v")

TOO_LARGE: dict[str, tuple[Callable[[], Any], str]] = {
    "zeros": (lambda: T.zeros((BIG, BIG)).sum(), f"({BIG}, {BIG})"),
    "ones": (lambda: T.ones((2, N, N)).max(), f"(2, {BIG}, {BIG})"),
    "a sum of 2**64 bytes": (lambda: T.zeros((2**31, 2**31)).sum(), f"({2**31}, {2**31})"),
    "full": (lambda: T.full((N, BIG), 3), f"({BIG}, {BIG})"),
    "alloc": (lambda: T.alloc(1.0, BIG, N, 1).sum(), f"({BIG}, {BIG}, 1)"),
    "without elements": (lambda: T.zeros((N, N, 0)).sum(), f"({BIG}, {BIG}, 0)"),
    "fill": (lambda: T.zeros((BIG, N)).fill(2).sum(), f"({BIG}, {BIG})"),
    "eye": (lambda: T.eye(2**62).sum(), f"({2**62},)"),
    "arange": (lambda: T.arange(2**62).sum(), f"({2**62},)"),
    "arange of a step": (lambda: T.arange(-(2**62), 2**62, 2).sum(), f"({2**62},)"),
    "arange symbolic": (lambda: T.arange(N * 2**22).sum(), f"({2**62},)"),
    "repeat": (lambda: T.repeat(V, 2**62).sum(), f"(3, {2**62})"),
    "tile": (lambda: T.tile(V, N * 2**20).sum(), f"({2**60}, 3)"),
    "join": (lambda: T.concatenate([T.zeros(2**62, "int8")] * 2).sum(), f"({2**63},)"),
    "broadcast": (lambda: (T.zeros((BIG, 1)) + T.ones((1, N))).sum(), f"({BIG}, {BIG})"),
    "outer": (lambda: T.outer(T.zeros(N), T.zeros(N)).sum(), f"({BIG}, {BIG})"),
    "dot": (lambda: T.dot(T.zeros((N, 1)), T.zeros((1, N))).sum(), f"({BIG}, {BIG})"),
    "cast": (lambda: T.cast(T.zeros((2**31, 2**31), "int8"), "int64").sum(), f"({2**31}, {2**31})"),
    "uniform": (lambda: RandomStreams(1).uniform((BIG, BIG)).sum(), f"({BIG}, {BIG})"),
    "normal": (lambda: RandomStreams(1).normal((N, N)).sum(), f"({BIG}, {BIG})"),
    "integers": (lambda: RandomStreams(1).random_integers((N, BIG)).sum(), f"({BIG}, {BIG})"),
    "binomial": (lambda: RandomStreams(1).binomial((N,), n=2**24).sum(), f"({2**24}, {BIG})"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_shapes_that_pass_the_limit(device: str, name: str) -> None:
    make, shape = TOO_LARGE[name]
    with pytest.raises(ValueError, match=r"2\*\*63 bytes or more") as raised:
        theano.function([N, V], make(), on_unused_input="ignore")(BIG, np.ones(3, "float32"))
    message = str(raised.value)
    assert shape in message
    assert re.search(rf"made at .*{Path(__file__).name}:\d+", message)


@pytest.mark.parametrize("wanted", [(2**32, 2**32), (2**32, 2**32, -1), (-1, 2**63 - 1)])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_reshapes_to_products_that_wrap_to_the_size(wanted: tuple[int, ...], n: int) -> None:
    function = theano.function([V], V.reshape(wanted))
    with pytest.raises(ValueError, match=r"can't be reshaped|2\*\*63 bytes"):
        function(np.ones(n, "float32"))


def test_large_shapes_below_the_limit_cost_nothing(device: str) -> None:
    zeros = T.zeros((2**30, 2**30))
    assert theano.function([], zeros[-1, 5:7].sum())() == 0
    assert theano.function([], zeros.shape)().tolist() == [2**30, 2**30]


def test_sizes() -> None:
    assert n_elements(np.array([2**32, 2**32])) == 2**64
    assert fits((2**31, 2**31), 1)
    assert not fits((2**31, 2**31), 2)
    assert not fits((2**40, 2**40, 0), 1)


# --- native code: Python has checked the shapes, but not all views of them -----------------------


def _copy(shape: list[int], strides: list[int], offset: int = 0) -> Any:
    """A program that copies a view of a bound buffer."""
    view = (0, "float32", shape, strides, offset, [])
    to = (1, "float32", shape, [0] * len(shape), 0, [])
    call = ("elementwise", [view], [to], [], [tape_of(Tape.identity("float32"))])
    return _native.Program([("bind", 0), ("bind", 1)], [call], [[]], 0)


@pytest.mark.parametrize("shape", [[2**28, 2**28], [2**40, 2**40], [2**62, 0], [2**32] * 8])
def test_native_code_refuses_operands_that_no_address_space_holds(shape: list[int]) -> None:
    text = ", ".join(map(str, shape))
    with pytest.raises(ValueError, match=rf"input 0 is too large: shape \({text}\) has more"):
        _copy(shape, [0] * len(shape))


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [([3], [2**61], 0), ([3, 3], [2**62, 2**62], 0), ([1], [1], 2**62), ([2], [-(2**62)], 0)],
)
def test_native_code_refuses_strides_that_pass_the_limit(
    shape: list[int], strides: list[int], offset: int
) -> None:
    buffers = [("arena", 0), ("bind", 0)]
    view = (0, "float32", shape, strides, offset, [])
    to = (1, "float32", shape, [0] * len(shape), 0, [])
    call = ("elementwise", [view], [to], [], [tape_of(Tape.identity("float32"))])
    with pytest.raises(ValueError, match=r"is too large|reaches out of the arena"):
        _native.Program(buffers, [call], [[]], 64)


# --- the GPU -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "strides"), [((2**16, 2**16), (0, 0)), ((2, 2), (2**31, 1)), ((2**40,), (0,))]
)
def test_kernels_of_a_gpu_take_what_32_bits_number(
    shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    view = View(0, "float32", Layout(shape, strides))
    text = " x ".join(map(str, shape))
    with pytest.raises(TooLargeError, match=f"an array of {text} reaches over"):
        operand(view, Pointer(0, 0, ()), 0)
