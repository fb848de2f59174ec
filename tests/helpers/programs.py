"""Small native programs for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from helpers.native import AnyArray, addresses_of, binary, tape_of, unary

from tinygrad_mnist import _native
from tinygrad_mnist.compile.depends import dependencies
from tinygrad_mnist.compile.plan import SHARED, TEMPORARY, Buffer, KernelCall, View
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.layout import Layout

IDENTITY = Tape.identity("float32")


def view(
    buffer: int, *shape: int, offset: int = 0, slots: list[tuple[int, int]] | None = None
) -> tuple[Any, ...]:
    """A contiguous float32 view."""
    strides = [int(np.prod(shape[d + 1 :])) for d in range(len(shape))]
    return (buffer, "float32", list(shape), strides, offset, slots or [])


def elementwise(tape: Tape, inputs: list[Any], output: Any) -> tuple[Any, ...]:
    return ("elementwise", inputs, [output], [], [tape_of(tape)])


def check_range(buffer: int, n: int, low: int, high: int) -> tuple[Any, ...]:
    """A check of n int64 indices."""
    return ("check_range", [(buffer, "int64", [n], [1], 0, [])], [], [low, high], [])


def sum_all(input_view: Any, output: Any) -> tuple[Any, ...]:
    """The sum of a vector, into one element."""
    return ("reduce", [input_view], [output], [0, 1, 1], [tape_of(IDENTITY), tape_of(IDENTITY)])


def native_program(
    buffers: Sequence[tuple[str, int]], calls: Sequence[Any], arena_bytes: int, arena: Any = None
) -> Any:
    """A native program whose calls wait for each other as in a plan. Bound buffers count as shared
    variables, so what writes them waits for earlier checks."""
    placed = tuple(
        Buffer(TEMPORARY, "uint8", (arena_bytes - value,), "t", offset=value)
        if kind == "arena"
        else Buffer(SHARED, "uint8", (1 << 40,), "s")
        for kind, value in buffers
    )
    planned = [KernelCall(c[0], _planned(c[1]), _planned(c[2]), {}) for c in calls]
    return _native.Program(buffers, calls, dependencies(placed, planned), arena_bytes, arena)


def _planned(views: Sequence[Any]) -> tuple[View, ...]:
    return tuple(
        View(buffer, dtype, Layout(tuple(shape), tuple(strides), offset, tuple(slots)))
        for buffer, dtype, shape, strides, offset, slots in views
    )


class Chain:
    """y = sum(exp(x) * tanh(x)) and z = exp(x) * tanh(x), with two temporaries in the arena.

    Large enough for several chunks per phase.
    """

    def __init__(self, n: int = 200_000, seed: int = 0, arena: Any = None) -> None:
        self.x = np.random.default_rng(seed).normal(size=n).astype(np.float32)
        self.z = np.zeros(n, np.float32)
        self.y = np.zeros(1, np.float32)
        buffers = [("bind", 0), ("bind", 1), ("bind", 2), ("arena", 0), ("arena", 4 * n)]
        calls = [
            elementwise(unary("exp"), [view(0, n)], view(3, n)),
            elementwise(unary("tanh"), [view(0, n)], view(4, n)),
            elementwise(binary("mul"), [view(3, n), view(4, n)], view(1, n)),
            sum_all(view(1, n), view(2, 1)),
        ]
        self.program = native_program(buffers, calls, 8 * n, arena)

    def run(self) -> tuple[AnyArray, AnyArray]:
        """Poisons the outputs, runs, returns copies of them."""
        self.z.fill(np.nan)
        self.y.fill(np.nan)
        assert self.program.run(addresses_of([self.x, self.z, self.y]), []) == 0
        return self.z.copy(), self.y.copy()
