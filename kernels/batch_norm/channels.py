"""Sums over the first and the last of three axes, for batch_norm and its gradient.

The values of a channel are divided among lanes and parts as in lanes.py. There are as many parts as
are needed to make a part so small that its second read comes from the first-level cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.axes import kept_and_reduced
from ..core.call import Call, Function, Launches, Operand
from ..core.device import TYPES, cuda, device, uint32, uint64
from ..core.integers import ceil_div
from ..core.lanes import ROUND, Split, numbering, runs_along, split, threads, tree
from ..core.sums import adder


class Layout(NamedTuple):
    """How channels are divided among the threads of a grid.

    dtype: of all floats. size: threads of a block. columns: channels of a block. pitch: distance of
    lanes in shared arrays, which have `shared` elements. blocks: of the grid; a part has
    blocks / parts of them. along: whether neighbours in memory belong to one channel.
    """

    dtype: str
    cut: Split
    size: int
    columns: int
    pitch: int
    shared: int
    blocks: int
    along: bool


def layout_of(x: Operand) -> Layout:
    """The layout for the values of x (A, C, B)."""
    a, channels, b = x.shape
    cut = split(channels, a * b, rows=b > 1)
    if cut.parts > 1:
        chunk = ROUND * cut.lanes
        cut = cut._replace(chunk=chunk, parts=ceil_div(cut.length, chunk))
    return _layout(x.dtype, cut, runs_along([x], 0b101, b > 1))


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
    return _layout(layout.dtype, cut._replace(chunk=cut.length, parts=1), along=False)


def _layout(dtype: str, cut: Split, along: bool) -> Layout:
    size = threads(cut)
    columns = size // cut.lanes
    pitch = columns + (along and columns > 1)
    blocks = ceil_div(cut.results, columns) * cut.parts
    return Layout(dtype, cut, size, columns, pitch, cut.lanes * pitch, blocks, along)


def places(x: Operand) -> tuple[Function, Function]:
    """`begin(c)` and `offset(r)`: the number, in C order, of value r of channel c is their sum."""
    kept, reduced = kept_and_reduced(x.shape, 0b101)
    return numbering(kept), numbering(reduced)


def bounds_of(cut: Split) -> Function:
    """`bounds(part)`: the numbers of a part's first value and of its end."""
    chunk, length = cut.chunk, cut.length

    def bounds(part: Any) -> Any:
        first = uint32(part * uint32(chunk))
        end = uint32(first + uint32(chunk))
        return first, end if end < uint32(length) else uint32(length)

    return device(bounds)


def position(layout: Layout) -> Function:
    """`at(t, block)`: a thread's lane, column, part, and channel; there may be no such channel."""
    lanes, columns, along = layout.cut.lanes, layout.columns, layout.along
    per_part = layout.blocks // layout.cut.parts

    def at(t: Any, block: Any) -> Any:
        lane = uint32(t % uint32(lanes)) if along else uint32(t // uint32(columns))
        column = uint32(t // uint32(lanes)) if along else uint32(t % uint32(columns))
        part = uint32(block // uint32(per_part))
        first = uint32(uint32(block - uint32(part * uint32(per_part))) * uint32(columns))
        return lane, column, part, uint32(first + column)

    return device(at)


def summed(layout: Layout) -> Function:
    """`total(values, t, lane, column, value)`: the sum of the values of a column's lanes.

    values: a shared array of this function alone. All threads of a block must call this.
    """
    columns, pitch = layout.columns, layout.pitch
    combined = tree(adder(layout.dtype), layout.cut.lanes, pitch)

    def total(values: Any, t: Any, lane: Any, column: Any, value: Any) -> Any:
        values[uint64(uint32(uint32(lane * uint32(pitch)) + column))] = value
        combined(values, uint32(t // uint32(columns)), uint32(t % uint32(columns)))
        cuda.syncthreads()
        return values[uint64(column)]

    return device(total)


def pair_adder(dtype: str) -> Function:
    """`add(x, y)` of pairs."""
    kind = TYPES[dtype]

    def add(x: Any, y: Any) -> Any:
        return kind(x[0] + y[0]), kind(x[1] + y[1])

    return device(add)
