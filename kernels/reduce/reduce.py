"""reduce, grouped_reduce: sums, products and extremes over any axes, between two tapes.

Shapes: inputs of the full shape with any strides; an output with size 1 along the reduced axes.

Algorithm: see lanes.py. A thread loads 16 terms at once, through the prologue, and combines them as
a tree. Sums of floats add these trees with compensation. So the error of a sum is at most about
log2(16 * 256) + 2 roundings for any number n of terms; with pairwise summation it is up to log2(n).
Lanes and parts are combined as trees. The members of a group are the blocks of one grid: each block
finds its member by its number and computes as in `reduce`, with the same bits.

Launch: up to 256 threads a block; a block computes several results if they are short. A second
launch if a result has several parts. Reference: contracts/reduce/reduce.py, grouped_reduce.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from ..core.axes import kept_and_reduced
from ..core.call import Call, Function, Launch, Launches, factory, grid_1d
from ..core.device import TYPES, device, np, shared_array
from ..core.index import block_index, ravel, strided
from ..core.lanes import (
    Block,
    Split,
    block_of,
    chosen,
    lane_total,
    reduction,
    runs_along,
    split,
    threads,
    tree,
)

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
        strided(*kept),
        _loader(call.terms[k], reduced),
        call.finishes[k],
        runs_along(read, axes_mask, rows),
    )


def _loader(term: Function, reduced: Sequence[tuple[int, int]]) -> Function:
    """`load(place, r, p)`: term r of a result whose terms begin at `place`."""
    if len(reduced) < 2:
        step = reduced[0][1] if reduced else 1

        def load_evenly(place: Any, r: Any, p: Any) -> Any:
            return term(place + r * step, p)

        return device(load_evenly)
    offset = strided(*reduced)

    def load(place: Any, r: Any, p: Any) -> Any:
        return term(place + offset(r), p)

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
        p[workspace][number + begin] = stored(value)

    return device(store)


def _combination(member: _Member, workspace: int, begin: int) -> _Member:
    """The reduction of a member's parts in the workspace."""
    results, parts = member.cut.results, member.cut.parts
    dtype = TYPES[member.dtype]

    def load(o: Any, r: Any, p: Any) -> Any:
        place = r * results + o
        return dtype(p[workspace][place])

    return member._replace(
        cut=split(results, parts, rows=False),
        place=ravel(1, base=begin),
        load=device(load),
        along=False,
    )


def _launch(members: Sequence[_Member]) -> Launch:
    """One grid for several reductions or their parts."""
    size = max(threads(member.cut) for member in members)
    used = {member.dtype: 1 for member in members}
    bodies, blocks = [], []
    for member in members:
        block = block_of(member.cut, member.along, size)
        used[member.dtype] = max(used[member.dtype], block.shared)
        bodies.append(_body(member, block))
        blocks.append(block.blocks)
    body = chosen(bodies, blocks)
    return Launch(_with_scratch(body, used), grid_1d(sum(blocks), size))


def _with_scratch(body: Function, used: dict[str, int]) -> Function:
    """The kernel of a body. used: elements of its shared arrays by dtype."""
    if len(used) == 1:
        ((name, n),) = used.items()
        dtype = TYPES[name]

        def single(p: Any) -> None:
            values = shared_array(n, dtype)
            body(block_index(), (values, values, values), p)

        return single
    n32, n64, whole = (used.get(name, 1) for name in SCRATCH)
    t32, t64, t_whole = (TYPES[name] for name in SCRATCH)

    def several(p: Any) -> None:
        floats = shared_array(n32, t32)
        doubles = shared_array(n64, t64)
        integers = shared_array(whole, t_whole)
        body(block_index(), (floats, doubles, integers), p)

    return several


def _body(member: _Member, block: Block) -> Function:
    """`body(number, scratch, p)`: what the block of this number computes."""
    results, identity = member.cut.results, _identity(member.op, member.dtype)
    place, add_up = member.place, _lane_total(member)

    def of_lane(o: Any, r: Any, begin: Any, end: Any, p: Any) -> Any:
        return add_up(place(o), r, begin, end, p) if o < results else identity

    combined = tree(COMBINE[member.op, member.dtype], member.cut.lanes, block.pitch)
    reduced = reduction(block, device(of_lane), combined, member.finish)
    array = SCRATCH.index(member.dtype)
    return device(lambda number, scratch, p: reduced(scratch[array], number, p))


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
