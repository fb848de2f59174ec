"""How reductions are divided among threads, for reduce, argmax, softmax and batch_norm.

A reduction makes `results` values, each from `length` terms. The terms of a result are combined by
`lanes` threads of a block: lane l takes terms l, l + lanes, ..., and a tree in shared memory
combines the lanes. If there are few results of many terms, the terms are cut into `parts` of
`chunk` terms, one block each, and a second launch combines the parts.

The cut depends on shapes alone, and so does the order in which terms are combined. Which thread
computes which lane of which result may depend on strides; it does not change the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .call import Function, LaunchShape, Operand, grid_1d
from .device import cuda, device
from .index import thread_index, u32
from .integers import blocks_for, ceil_div, power_of_two

THREADS = 256  # the most of a block: up to here a thread may have 255 registers, the maximum
ROUND = 16  # terms that a thread loads before it uses the first, to hide their latency
FEW = 8  # terms of a lane if there are enough threads
LONG = 4 * ROUND  # terms of a lane above which a second launch takes less time
RESIDENT = 1 << 18  # threads that a large GPU runs at once
MAX_PARTS = 512  # blocks that keep a large GPU busy; each of 32 lanes then combines 16 parts
COALESCED = 32  # lanes that read a row together, in whole cache lines
NEIGHBOURS = 8  # columns that a block reads together at least: a cache sector of float32


class Split(NamedTuple):
    """How reductions are cut; see the module's docstring. `chunk` is `length` if parts is 1."""

    results: int
    length: int
    lanes: int
    chunk: int
    parts: int


def split(results: int, length: int, rows: bool) -> Split:
    """The cut of `results` reductions of `length` terms.

    rows: whether the terms of a result are adjacent, as in the rows of a matrix; otherwise the
    terms of equal number are.
    """
    wanted = power_of_two(ceil_div(length, FEW))
    enough = max(1, RESIDENT // power_of_two(results))
    if rows:
        lanes = min(wanted, THREADS, max(enough, COALESCED))
    else:
        lanes = min(wanted, THREADS // NEIGHBOURS, enough)
    whole = Split(results, length, lanes, length, 1)
    if results == 0 or length <= LONG * lanes:
        return whole
    blocks = blocks_for(results, THREADS // lanes)
    parts = min(ceil_div(length, ROUND * lanes), MAX_PARTS // blocks)
    if parts < 2:
        return whole
    step = ROUND * lanes
    chunk = ceil_div(length, parts * step) * step
    return Split(results, length, lanes, chunk, ceil_div(length, chunk))


def threads(cut: Split) -> int:
    """Threads of a block: fewer for small problems."""
    return min(THREADS, cut.lanes * power_of_two(cut.results))


class Block(NamedTuple):
    """How the threads of a block are divided among reductions.

    size: threads. columns: results, or parts of them, of a block. pitch: distance of lanes in the
    block's shared arrays, which have `shared` elements. along: whether neighbouring threads load
    terms of one result, which are neighbours in memory; otherwise terms of neighbouring results.
    """

    cut: Split
    size: int
    columns: int
    pitch: int
    along: bool

    @property
    def shared(self) -> int:
        """Elements of a shared array: one for each lane of each column."""
        return self.cut.lanes * self.pitch

    @property
    def per_part(self) -> int:
        """Blocks with the same part, one at least."""
        return blocks_for(self.cut.results, self.columns)

    @property
    def blocks(self) -> int:
        """Of the grid."""
        return self.per_part * self.cut.parts

    @property
    def grid(self) -> LaunchShape:
        """The launch's shape, where the grid has no other blocks."""
        return grid_1d(self.blocks, self.size)


def block_of(cut: Split, along: bool, size: int | None = None) -> Block:
    """The block for a cut. size: threads, where they are those of other cuts, too."""
    size = size or threads(cut)
    columns = size // cut.lanes
    pitch = columns + (along and columns > 1)  # so that writes use different banks
    return Block(cut, size, columns, pitch, along and cut.lanes > 1)


def position(block: Block) -> Function:
    """`at(t, number)`: lane, column, part and first result of thread t in a block of this number.

    The thread loads for result first + column, which may not exist.
    """
    lanes, columns, along, per_part = block.cut.lanes, block.columns, block.along, block.per_part
    one_part = block.cut.parts == 1

    def at(t: Any, number: Any) -> Any:
        lane = t % lanes if along else t // columns
        column = t // lanes if along else t % columns
        part = u32(0) if one_part else number // per_part
        return lane, column, part, (number - part * per_part) * columns

    return device(at)


def bounds_of(cut: Split) -> Function:
    """`bounds(part)`: the numbers of a part's first term and of its end."""
    chunk, length = cut.chunk, cut.length

    def bounds(part: Any) -> Any:
        first = part * chunk
        return first, min(first + chunk, length)

    return device(bounds)


def runs_along(operands: Sequence[Operand], mask: int, default: bool) -> bool:
    """Whether neighbours in memory lie along a reduced axis; bit d of `mask`: axis d is reduced.

    This is decided by the operand with the most elements in memory; `default` if all are scalars.
    """
    largest, answer = 1, default
    for operand in operands:
        axes = [
            (abs(stride), -d, n)
            for d, (n, stride) in enumerate(zip(operand.shape, operand.strides, strict=True))
            if n > 1 and stride != 0
        ]
        stored = 1
        for _, _, n in axes:
            stored *= n
        if stored > largest:
            largest, answer = stored, bool(mask >> -min(axes)[1] & 1)
    return answer


def folded(load: Function, combine: Function, width: int, step: int) -> Function:
    """`fold(place, r, p)`: load(place, r + k * step, p) for k < width, combined as a tree."""
    if width == 1:
        return load
    n = 4 if width % 4 == 0 else 2
    part = folded(load, combine, width // n, step)
    further = width // n * step

    def two(place: Any, r: Any, p: Any) -> Any:
        return combine(part(place, r, p), part(place, r + further, p))

    def four(place: Any, r: Any, p: Any) -> Any:
        middle = r + 2 * further
        before = combine(part(place, r, p), part(place, r + further, p))
        behind = combine(part(place, middle, p), part(place, middle + further, p))
        return combine(before, behind)

    return device(four if n == 4 else two)


def folded_to_end(
    load: Function, combine: Function, width: int, step: int, identity: Any
) -> Function:
    """`fold((place, last), r, p)`: the same, without terms after `last`.

    Instead of those the last term is loaded and ignored, so that no branch delays the other loads.
    """

    def load_to_end(place: Any, r: Any, p: Any) -> Any:
        last = place[1]
        value = load(place[0], r if r < last else last, p)
        return value if r <= last else identity

    return folded(device(load_to_end), combine, width, step)


def lane_total(
    cut: Split, load: Function, combine: Function, identity: Any, exact: Any = None
) -> Function:
    """`add_up(place, r, begin, end, p)`: terms r, r + lanes, ... before `end`, combined.

    load(place, r, p): term r. begin: the first term of the part, which is r minus the lane. exact:
    the dtype of a compensated sum, which keeps its rounding errors; None for other reductions.
    """
    if cut.length == 0:

        def nothing(place: Any, r: Any, begin: Any, end: Any, p: Any) -> Any:
            return identity

        return device(nothing)
    step = cut.lanes * ROUND
    rounds = cut.chunk // step
    rest = cut.length % step
    width = power_of_two(ceil_div(rest, cut.lanes))
    whole_round = folded(load, combine, ROUND, cut.lanes)
    last_round = folded_to_end(load, combine, width, cut.lanes, identity)
    if rounds == 0:

        def single(place: Any, r: Any, begin: Any, end: Any, p: Any) -> Any:
            return last_round((place, end - 1), r, p)

        return device(single)
    if exact is not None:
        return _exact_total(exact, step, rest, whole_round, last_round)

    def add_up(place: Any, r: Any, begin: Any, end: Any, p: Any) -> Any:
        total = identity
        whole_end = end - (end - begin) % step
        while r < whole_end:
            total = combine(total, whole_round(place, r, p))
            r = r + step
        if rest > 0 and whole_end < end:
            total = combine(total, last_round((place, end - 1), r, p))
        return total

    return device(add_up)


def _exact_total(
    dtype: Any, step: int, rest: int, whole_round: Function, last_round: Function
) -> Function:
    """`add_up` as a compensated sum: it keeps the rounding error of adding each round.

    If there is an infinity, the errors are NaN; then the plain sum is right.
    """
    zero = dtype(0)

    def add_up(place: Any, r: Any, begin: Any, end: Any, p: Any) -> Any:
        total, error = zero, zero
        whole_end = end - (end - begin) % step
        while r < whole_end:
            value = whole_round(place, r, p)
            raised = dtype(total + value)
            added = dtype(raised - total)
            lost = dtype(dtype(total - dtype(raised - added)) + dtype(value - added))
            total, error = raised, dtype(error + lost)
            r = r + step
        if rest > 0 and whole_end < end:
            value = last_round((place, end - 1), r, p)
            raised = dtype(total + value)
            added = dtype(raised - total)
            lost = dtype(dtype(total - dtype(raised - added)) + dtype(value - added))
            total, error = raised, dtype(error + lost)
        return dtype(total + error) if error == error else total

    return device(add_up)


def tree(
    combine: Function,
    lanes: int,
    pitch: int,
    read: Function | None = None,
    write: Function | None = None,
) -> Function:
    """`total(values, lane, column)`: the combination of `lanes` values; only lane 0 gets it.

    values: in shared memory. The value of a lane and a column is at `lane * pitch + column`; its
    thread has just written it. All threads of a block must call this; those without a value have
    lane >= lanes. After each barrier a thread combines up to 8 values. read(values, place, 0),
    write(values, place, value): for values that are not in a plain array.
    """
    key = combine, lanes, pitch, read, write
    if key not in _TREES:
        _TREES[key] = _tree(combine, lanes, pitch, read or _read, write or _write)
    return _TREES[key]


_TREES: dict[tuple[Any, ...], Function] = {}  # shared by the reductions of a group


def _tree(combine: Function, lanes: int, pitch: int, read: Function, write: Function) -> Function:
    if lanes == 1:

        def single(values: Any, lane: Any, column: Any) -> Any:
            return read(values, column, 0)

        return device(single)
    width = min(8, lanes)
    rest = lanes // width
    # A thread overwrites the first value that it has read; no other thread reads that one.
    fold = folded(read, combine, width, rest * pitch)
    further = tree(combine, rest, pitch, read, write)

    def total(values: Any, lane: Any, column: Any) -> Any:
        cuda.syncthreads()
        if lane < rest:
            place = lane * pitch + column
            write(values, place, fold(values, place, 0))
        return further(values, lane, column)

    return device(total)


@device
def _read(values: Any, place: Any, _: Any) -> Any:
    return values[place]


@device
def _write(values: Any, place: Any, value: Any) -> None:
    values[place] = value


def reduction(
    block: Block, of_lane: Function, combined: Function, finish: Function, write: Function = _write
) -> Function:
    """`body(values, number, p)`: what the block of this number computes.

    values: a shared array, or what `tree` and `write` take for one. of_lane(o, r, begin, end, p):
    what a lane makes of its terms r, r + lanes, ... of result o, which may not exist; see
    `lane_total`. combined: a `tree`. finish(total, number, p): stores the total of a part; number
    is part * results + o.
    """
    results, lanes = block.cut.results, block.cut.lanes
    columns, pitch = block.columns, block.pitch
    where, bounds = position(block), bounds_of(block.cut)

    def body(values: Any, number: Any, p: Any) -> None:
        t = thread_index()
        # For loads, neighbours in a warp are neighbours in memory.
        lane, column, part, first = where(t, number)
        begin, end = bounds(part)
        total = of_lane(first + column, begin + lane, begin, end, p)
        if lanes > 1:
            write(values, lane * pitch + column, total)
            # From here on, neighbours in a warp are neighbouring results.
            lane, column = divmod(t, columns)
            total = combined(values, lane, column)
        o = first + column
        if lane == 0 and o < results:
            finish(total, part * results + o, p)

    return device(body)


def chosen(bodies: Sequence[Function], blocks: Sequence[int]) -> Function:
    """`body(block, scratch, p)`: calls the body that block number `block` (u32) belongs to.

    Body k has blocks[k] consecutive blocks.
    """
    if len(bodies) == 1:
        return bodies[0]
    middle = len(bodies) // 2
    before = sum(blocks[:middle])
    left = chosen(bodies[:middle], blocks[:middle])
    right = chosen(bodies[middle:], blocks[middle:])

    def body(block: Any, scratch: Any, p: Any) -> None:
        if block < before:
            left(block, scratch, p)
        else:
            right(block - before, scratch, p)

    return device(body)
