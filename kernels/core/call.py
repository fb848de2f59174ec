"""The argument and the result of a kernel factory: plain data, without Numba.

A kernel is made for one call of a plan: shapes, strides and parameters are constants in it, so the
compiler can unroll loops and divide by constants. It takes all operands as one tuple of pointers
`p`: inputs, then outputs, then the workspace, if there is one. On a device a pointer is an address;
in the simulator it is the flat array that begins there. `p[k][j]` is element j of pointer k;
j is a u32 (index.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

from .axes import is_dense

Function = Callable[..., Any]  # a device function, or Python code that becomes one


class Operand(NamedTuple):
    """An input or output of a call.

    dtype: NumPy's name; a bool is a uint8 on a device, 0 or 1. strides: in elements; 0 for a
    broadcast axis, negative for a reversed one. base: the index, from the pointer, of the element
    with index 0 on all axes. The pointer is the address of the lowest element, so element (i, j)
    has the index `base + i * strides[0] + j * strides[1]`, which is never negative. alignment: in
    every step the pointer is a multiple of this many bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    base: int = 0
    alignment: int = 1

    @property
    def size(self) -> int:
        """Number of elements; broadcast axes count with their length."""
        return prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements are adjacent in memory, in C order."""
        return is_dense(self.shape, self.strides)


class Call(NamedTuple):
    """A kernel call in which all but the addresses is known.

    params: the contract's integers. at: for every operand, inputs first, a device function:
    `at[k](i)` is the index (a u32), from the pointer of operand k, of its element number i, in C
    order of the operand's own shape; see `strided` in index.py. i may be any unsigned number.

    The other functions are device functions too; i is the number of an element in C order, a u32:

    terms: prologues, one per member of a reduction. `term(i, p)` is the value of element i of the
        full shape, in the dtype of the prologue. term_dtypes: those dtypes.
    finishes: epilogues, one per output that has a tape. `finish(value, i, p)` applies the epilogue
        to `value`, with the extra inputs at element i, and stores the result, converted to the
        output's dtype, in element i of the output.
    fetches, settles: `finish` in two parts, so that a kernel can start loads long before it has the
        value. `settle(value, fetch(i, p), i, p)` is equivalent to `finish(value, i, p)`.
    wide_fetches, wide_settles: the same for 16 bytes of output from element i on, 4 float32 or 2
        float64, with a tuple of as many values. i is a multiple of that number, and so is the
        length of the output's last axis. Each operand is accessed by 16 bytes if its layout and
        alignment allow.
    element: `elementwise` alone. `element(i, p)` computes and stores element i of every output.
    wide_element: the same for 16 bytes of output from element i on; i is a multiple of the number
        of elements. None unless all outputs are floats that can be stored in this way.
    stores: for every output, `store(value, i, p)` stores `value`, converted, in element i. For
        kernels without tapes.

    allow_tf32: whether the factors of float32 products may be rounded to 10 bits of mantissa.
    capability: compute capability of the GPU.
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


# Threads of a block whose size the assembler needn't know: each may have 255 registers, the most
# there are. It must know the size of larger blocks, or the driver would refuse the launch.
UNBOUNDED_THREADS = 256


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
    """The kernels of a call, run one by one.

    workspace: dtype and number of elements of scratch memory for all of them, or None. Its pointer
    is the last of `p`. Its initial content is undefined.
    """

    kernels: tuple[Launch, ...]
    workspace: tuple[str, int] | None = None


Factory = Callable[[Call], Launches]
FACTORIES: dict[str, Factory] = {}


def factory(contract: str) -> Callable[[Factory], Factory]:
    """A decorator that registers the factory of the kernels of a contract."""

    def register(function: Factory) -> Factory:
        if contract in FACTORIES:
            raise ValueError(f"{contract} has two factories")
        FACTORIES[contract] = function
        return function

    return register
