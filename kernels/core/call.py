"""What a kernel factory is given, and what it returns.

A kernel is made for one call of a plan: shapes, strides and parameters are constants in it, so the
compiler unrolls, and divides by constants. It receives all operands as one tuple of pointers `p`,
inputs first, then outputs, then the workspace if it asked for one. On a device a pointer is an
address; in the simulator, the flat array that begins there. `p[k][uint64(j)]` is element j.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

from .axes import is_dense

Function = Callable[..., Any]


class Operand(NamedTuple):
    """An input or output of a call.

    dtype: as NumPy names it; bools are uint8 on a device, 0 or 1. strides: in elements; 0 repeats
    one, and a negative one goes backwards. base: where the element at index 0 of all axes is,
    counted from the pointer, which is that of the lowest element. So element (i, j) is at
    `base + i * strides[0] + j * strides[1]`, from 0 up. alignment: the pointer's address is a
    multiple of so many bytes in every step.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    base: int = 0
    alignment: int = 1

    @property
    def size(self) -> int:
        """Number of elements, repeated ones included."""
        return prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie next to each other in C order."""
        return is_dense(self.shape, self.strides)


class Call(NamedTuple):
    """A kernel call with everything known but the addresses.

    params: the contract's integers. at: for every operand, inputs first, the device function
    `at[k](i)` that tells where element number i (uint32, in C order of the operand's own shape) is,
    as a uint32 index from its pointer.

    Tapes come as device functions; i is the number of an element in C order, uint32:

    terms: prologues, one per member of a reduction: `term(i, p)` is the value of element i of the
    full shape, in the prologue's dtype. term_dtypes: those.
    finishes: `finish(value, i, p)` puts `value` through the epilogue, which reads its extra inputs
    at element i of the output, and stores the result in element i of the output, converted to its
    dtype. One per output that has a tape; a kernel without tapes stores through `store` instead.
    fetches, settles: the same in two parts, so that a kernel can start to load long before it has
    the value: `settle(value, fetch(i, p), i, p)` does what `finish(value, i, p)` does.
    wide_fetches, wide_settles: of the elements from i on that are 16 bytes of output, 4 float32 or
    2 float64, with a tuple of so many values; i is a multiple of that number, and the output's last
    axis must be. Each operand takes a 16-byte access where its layout and alignment allow.
    element: of `elementwise`: `element(i, p)` computes and stores element i of every output.
    wide_element: the same of the elements from i on that are 16 bytes of output, i a multiple of
    their number; None unless all outputs are floats that can be stored so.
    stores: for every output, `store(value, i, p)`: stores `value` in its element i, converted.
    allow_tf32: whether factors of float32 products may be rounded to 10 bits of mantissa first.
    capability: compute capability of the GPU that the kernels are for.
    """

    kernel: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    params: Mapping[str, Any]
    at: tuple[Function, ...]
    stores: tuple[Function, ...]
    terms: tuple[Function, ...] = ()
    term_dtypes: tuple[str, ...] = ()
    finishes: tuple[Function, ...] = ()
    fetches: tuple[Function, ...] = ()
    settles: tuple[Function, ...] = ()
    wide_fetches: tuple[Function, ...] = ()
    wide_settles: tuple[Function, ...] = ()
    element: Function | None = None
    wide_element: Function | None = None
    allow_tf32: bool = False
    capability: tuple[int, int] = (9, 0)


# The fields of a call that its generated module defines.
GENERATED = (
    "at",
    "stores",
    "terms",
    "term_dtypes",
    "finishes",
    "fetches",
    "settles",
    "wide_fetches",
    "wide_settles",
    "element",
    "wide_element",
)


class LaunchShape(NamedTuple):
    """The threads of a launch.

    grid: blocks along x, y and z. block: threads of a block, likewise. shared_bytes: dynamic shared
    memory of a block.
    """

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int = 0

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return prod(self.block)


def grid_1d(n_blocks: int, threads: int) -> LaunchShape:
    """A row of blocks, each a row of threads."""
    return LaunchShape((n_blocks, 1, 1), (threads, 1, 1))


class Launch(NamedTuple):
    """One kernel of a call.

    body: `body(p)`, run by every thread. checks: the body returns False if it found an error; then
    the step stops, and no later call of it changes anything. resident: how many blocks a
    multiprocessor must have registers for at once. If it is given, code is made for this block
    size: the assembler uses all registers that remain, and starts loads long before their data is
    needed. With 0 the assembler chooses.
    """

    body: Function
    shape: LaunchShape
    checks: bool = False
    resident: int = 0


class Launches(NamedTuple):
    """The kernels of a call, run one after the other.

    workspace: dtype and number of elements of scratch memory that they share, or None; its pointer
    is the last of `p`. Nothing is known about what is in it.
    """

    kernels: tuple[Launch, ...]
    workspace: tuple[str, int] | None = None


Factory = Callable[[Call], Launches]
FACTORIES: dict[str, Factory] = {}


def factory(contract: str) -> Callable[[Factory], Factory]:
    """Registers the factory of the kernels that carry out calls of `contract`."""

    def register(function: Factory) -> Factory:
        if contract in FACTORIES:
            raise ValueError(f"{contract} has two factories")
        FACTORIES[contract] = function
        return function

    return register
