"""reduce, grouped_reduce: sums, products and extremes over any axes, between two tapes.

Shapes: inputs of the full shape with any strides; an output with size 1 along the reduced axes.
Algorithm: see lanes.py. A thread loads 16 terms at once, through the prologue, and combines them as
a tree. Sums of floats add these trees with compensation. So the error of a sum is at most about
log2(16 * 256) + 2 roundings for any number n of terms; with pairwise summation it is up to log2(n).
Lanes and parts are combined as trees. Launch: up to 256 threads a block; a block computes several
results if they are short. A second launch if a result has several parts. The members of a group are
the blocks of one grid: each block finds its member by its number and computes as in `reduce`, with
the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from ..core.axes import kept_and_reduced
from ..core.call import Call, Function, Launch, Launches, factory, grid_1d
from ..core.device import TYPES, cuda, device, np, shared_array, uint32, uint64
from ..core.integers import ceil_div
from ..core.lanes import Split, chosen, lane_total, numbering, runs_along, split, threads, tree

SUM, PROD, MAX, MIN = range(4)
SCRATCH = ("float32", "float64", "int64")  # shared arrays of a block, by dtype


@factory("reduce")
def reduce(call: Call) -> Launches:
    """One launch, or two."""
    p = call.params
    member = _member(call, 0, slice(0, len(call.inputs)), p["op"], p["axes_mask"], p["n_prologue"])
    return _launches([member], len(call.inputs) + len(call.outputs))


@factory("grouped_reduce")
def grouped_reduce(call: Call) -> Launches:
    """One launch for all members, and a second for those that are cut into parts."""
    params = call.params
    members = []
    begin = 0
    for k, n in enumerate(params["n_inputs"]):
        numbers = params["op"][k], params["axes_mask"][k], params["n_prologue"][k]
        members.append(_member(call, k, slice(begin, begin + n), *numbers))
        begin += n
    return _launches(members, len(call.inputs) + len(call.outputs))


class _Member(NamedTuple):
    """One reduction.

    place(o): where the terms of result o begin. load(place, r, p): term r of them, in `dtype`.
    finish(value, o, p): the epilogue; for parts, a store to the workspace, with o = part * results
    + result. along: whether neighbours in memory are terms of one result.
    """

    op: int
    dtype: str
    cut: Split
    place: Function
    load: Function
    finish: Function
    along: bool


def _member(call: Call, k: int, inputs: slice, op: int, axes_mask: int, n_prologue: int) -> _Member:
    output = call.outputs[k]
    read = [x for x in call.inputs[inputs][:n_prologue] if len(x.shape) == len(output.shape)]
    shape = np.broadcast_shapes(*(x.shape for x in read))
    kept, reduced = kept_and_reduced(shape, axes_mask)
    results, length = (prod(n for n, _ in axes) for axes in (kept, reduced))
    rows = not kept or (bool(reduced) and reduced[-1][1] < kept[-1][1])
    return _Member(
        op,
        call.term_dtypes[k],
        split(results, length, rows),
        numbering(kept),
        _loader(call.terms[k], reduced),
        call.finishes[k],
        runs_along(read, axes_mask, rows),
    )


def _loader(term: Function, reduced: Sequence[tuple[int, int]]) -> Function:
    """`load(place, r, p)`: term r of a result whose terms begin at `place`."""
    if len(reduced) < 2:
        step = reduced[0][1] if reduced else 1

        def load_evenly(place: Any, r: Any, p: Any) -> Any:
            return term(uint32(place + uint32(r * uint32(step))), p)

        return device(load_evenly)
    offset = numbering(reduced)

    def load(place: Any, r: Any, p: Any) -> Any:
        return term(uint32(place + offset(r)), p)

    return device(load)


def _launches(members: Sequence[_Member], workspace: int) -> Launches:
    """workspace: its number among the pointers."""
    stored = _stored_dtype({m.dtype for m in members if m.cut.parts > 1})
    firsts: list[_Member] = []
    seconds: list[_Member] = []
    used = 0
    for member in members:
        cut = member.cut
        if cut.parts == 1:
            firsts.append(member)
        elif member.dtype == "int64" and stored != "int64":
            # Integer results don't depend on the order, so one block may replace several.
            firsts.append(member._replace(cut=cut._replace(chunk=cut.length, parts=1)))
        else:
            firsts.append(member._replace(finish=_store(workspace, used, stored)))
            seconds.append(_combination(member, workspace, used))
            used += cut.results * cut.parts
    kernels = [_launch(stage) for stage in (firsts, seconds) if stage]
    return Launches(tuple(kernels), (stored, used) if used else None)


def _stored_dtype(dtypes: set[str]) -> str:
    """The dtype of a workspace that stores partial results of these dtypes exactly.

    If there are floats and integers, it is that of the floats.
    """
    return next((d for d in ("float64", "float32") if d in dtypes), "int64")


def _store(workspace: int, begin: int, dtype: str) -> Function:
    """`finish` of parts: stores them to the workspace, as (parts, results) from `begin` on."""
    stored = TYPES[dtype]

    def store(value: Any, number: Any, p: Any) -> None:
        p[workspace][uint64(uint32(number + uint32(begin)))] = stored(value)

    return device(store)


def _combination(member: _Member, workspace: int, begin: int) -> _Member:
    """The reduction of a member's parts in the workspace."""
    results, parts = member.cut.results, member.cut.parts
    dtype = TYPES[member.dtype]

    def load(o: Any, r: Any, p: Any) -> Any:
        place = uint32(uint32(r * uint32(results)) + o)
        return dtype(p[workspace][uint64(place)])

    return member._replace(
        cut=split(results, parts, rows=False),
        place=numbering([(results, 1)]) if begin == 0 else _from(begin),
        load=device(load),
        along=False,
    )


def _from(begin: int) -> Function:
    def place(o: Any) -> Any:
        return uint32(o + uint32(begin))

    return device(place)


def _launch(members: Sequence[_Member]) -> Launch:
    """One grid for several reductions or their parts."""
    size = max(threads(member.cut) for member in members)
    used = {member.dtype: 1 for member in members}
    bodies, blocks = [], []
    for member in members:
        columns = size // member.cut.lanes
        pitch = columns + (member.along and columns > 1)  # so that writes use different banks
        used[member.dtype] = max(used[member.dtype], member.cut.lanes * pitch)
        bodies.append(_body(member, columns, pitch))
        blocks.append(ceil_div(max(1, member.cut.results), columns) * member.cut.parts)
    body = chosen(bodies, blocks)
    return Launch(_with_scratch(body, used), grid_1d(sum(blocks), size))


def _with_scratch(body: Function, used: dict[str, int]) -> Function:
    """The kernel of a body. used: elements of its shared arrays by dtype."""
    if len(used) == 1:
        ((name, n),) = used.items()
        dtype = TYPES[name]

        def single(p: Any) -> None:
            values = shared_array(n, dtype)
            body(uint32(cuda.blockIdx.x), (values, values, values), p)

        return single
    n32, n64, whole = (used.get(name, 1) for name in SCRATCH)
    t32, t64, t_whole = (TYPES[name] for name in SCRATCH)

    def several(p: Any) -> None:
        floats = shared_array(n32, t32)
        doubles = shared_array(n64, t64)
        integers = shared_array(whole, t_whole)
        body(uint32(cuda.blockIdx.x), (floats, doubles, integers), p)

    return several


def _body(member: _Member, columns: int, pitch: int) -> Function:
    """`body(block, scratch, p)`: the reduction of up to `columns` results, or of a part of them.

    pitch: distance of lanes in the shared array.
    """
    cut = member.cut
    results, lanes, chunk, length = cut.results, cut.lanes, cut.chunk, cut.length
    per_part = ceil_div(max(1, results), columns)
    identity = _identity(member.op, member.dtype)
    combine = COMBINE[member.op, member.dtype]
    place, finish, add_up = member.place, member.finish, _lane_total(member)
    combined = tree(combine, lanes, pitch)
    array = SCRATCH.index(member.dtype)
    one_part, along = cut.parts == 1, member.along and lanes > 1

    def body(block: Any, scratch: Any, p: Any) -> None:
        t = uint32(cuda.threadIdx.x)
        # For loads, neighbours in a warp are neighbours in memory.
        lane = uint32(t % uint32(lanes)) if along else uint32(t // uint32(columns))
        column = uint32(t // uint32(lanes)) if along else uint32(t % uint32(columns))
        part = uint32(0) if one_part else uint32(block // uint32(per_part))
        of_part = uint32(block - uint32(part * uint32(per_part)))
        first = uint32(of_part * uint32(columns))
        begin = uint32(part * uint32(chunk))
        end = uint32(begin + uint32(chunk))
        if end > uint32(length):
            end = uint32(length)
        total = identity
        o = uint32(first + column)
        if o < uint32(results):
            total = add_up(place(o), uint32(begin + lane), begin, end, p)
        if lanes > 1:
            values = scratch[array]
            values[uint64(uint32(lane * uint32(pitch)) + column)] = total
            # From here on, neighbours in a warp are neighbouring results.
            lane = uint32(t // uint32(columns))
            column = uint32(t % uint32(columns))
            o = uint32(first + column)
            total = combined(values, lane, column)
        if lane == uint32(0) and o < uint32(results):
            finish(total, uint32(uint32(part * uint32(results)) + o), p)

    return device(body)


def _lane_total(member: _Member) -> Function:
    """See `lane_total`; sums of floats are compensated."""
    combine, identity = COMBINE[member.op, member.dtype], _identity(member.op, member.dtype)
    if member.op == SUM and member.dtype != "int64":
        return lane_total(member.cut, member.load, combine, identity, TYPES[member.dtype])
    return lane_total(member.cut, member.load, combine, identity)


def _identity(op: int, dtype: str) -> Any:
    """The neutral element of the operation."""
    kind = np.dtype(dtype)
    limits = (-np.inf, np.inf) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    return TYPES[dtype]({SUM: 0, PROD: 1, MAX: limits[0], MIN: limits[1]}[op])


def _combine(op: int, dtype: str) -> Function:
    """`combine(x, y)`; maximum and minimum with a NaN are NaN."""
    kind = TYPES[dtype]

    def add(x: Any, y: Any) -> Any:
        return kind(x + y)

    def multiply(x: Any, y: Any) -> Any:
        return kind(x * y)

    def greatest(x: Any, y: Any) -> Any:
        return x if x > y or x != x else y

    def least(x: Any, y: Any) -> Any:
        return x if x < y or x != x else y

    return device({SUM: add, PROD: multiply, MAX: greatest, MIN: least}[op])


COMBINE = {(op, dtype): _combine(op, dtype) for op in (SUM, PROD, MAX, MIN) for dtype in SCRATCH}
