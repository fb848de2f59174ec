"""Sums over the first and the last of three axes, for batch_norm and its gradient.

The values of a channel are divided among lanes and parts as in lanes.py. There are as many parts as
are needed to make a part so small that its second read comes from the first-level cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.axes import kept_and_reduced
from ..core.call import Call, Function, Launches, Operand
from ..core.device import TYPES, cuda, device
from ..core.index import block_index, strided, thread_index
from ..core.integers import ceil_div
from ..core.lanes import ROUND, Block, Split, block_of, position, runs_along, split, tree
from ..core.sums import adder


class Layout(NamedTuple):
    """How channels are divided among the threads of a grid. dtype: of all floats."""

    dtype: str
    block: Block

    @property
    def cut(self) -> Split:
        return self.block.cut


def layout_of(x: Operand) -> Layout:
    """The layout for the values of x (A, C, B)."""
    a, channels, b = x.shape
    cut = split(channels, a * b, rows=b > 1)
    if cut.parts > 1:
        chunk = ROUND * cut.lanes
        cut = cut._replace(chunk=chunk, parts=ceil_div(cut.length, chunk))
    return Layout(x.dtype, block_of(cut, runs_along([x], 0b101, b > 1)))


def launches(
    call: Call, whole: Function, stages: Sequence[Function], scratch: Callable[[int], int]
) -> Launches:
    """The kernels of a call whose input 0 is x (A, C, B).

    whole(call, layout): the only launch, where a block can hold a channel. stages(call, layout,
    workspace): the launches otherwise. scratch(parts): elements of the workspace for a channel.
    """
    x = call.inputs[0]
    channels = x.shape[1]
    if channels == 0:
        return Launches(())
    layout = layout_of(x)
    if layout.cut.parts == 1:
        return Launches((whole(call, layout),))
    workspace = len(call.inputs) + len(call.outputs)
    kernels = tuple(stage(call, layout, workspace) for stage in stages)
    return Launches(kernels, (x.dtype, channels * scratch(layout.cut.parts)))


def layout_of_parts(layout: Layout) -> Layout:
    """The layout for combining the parts of each channel, from arrays (parts, C)."""
    cut = split(layout.cut.results, layout.cut.parts, rows=False)
    return Layout(layout.dtype, block_of(cut._replace(chunk=cut.length, parts=1), along=False))


def places(x: Operand) -> tuple[Function, Function]:
    """`begin(c)` and `offset(r)`: the number, in C order, of value r of channel c is their sum."""
    kept, reduced = kept_and_reduced(x.shape, 0b101)
    return strided(*kept), strided(*reduced)


class Thread(NamedTuple):
    """The place of a thread, on the device.

    t: its number in the block. lane, column, part: see lanes.py. channel: may not exist. c: that or
    the last one.
    """

    t: Any
    lane: Any
    column: Any
    part: Any
    channel: Any
    c: Any


def thread_of(layout: Layout) -> Function:
    """`here()`: the `Thread` that calls it."""
    where, last = position(layout.block), layout.cut.results - 1

    def here() -> Any:
        t = thread_index()
        lane, column, part, first = where(t, block_index())
        channel = first + column
        return Thread(t, lane, column, part, channel, min(channel, last))

    return device(here)


def summed(layout: Layout) -> Function:
    """`total(values, here, value)`: the sum of the values of a column's lanes.

    values: a shared array of this function alone. All threads of a block must call this.
    """
    columns, pitch = layout.block.columns, layout.block.pitch
    combined = tree(adder(layout.dtype), layout.cut.lanes, pitch)

    def total(values: Any, here: Any, value: Any) -> Any:
        values[here.lane * pitch + here.column] = value
        combined(values, here.t // columns, here.t % columns)
        cuda.syncthreads()
        return values[here.column]

    return device(total)


def pair_adder(dtype: str) -> Function:
    """`add(x, y)` of pairs."""
    kind = TYPES[dtype]

    def add(x: Any, y: Any) -> Any:
        return kind(x[0] + y[0]), kind(x[1] + y[1])

    return device(add)
