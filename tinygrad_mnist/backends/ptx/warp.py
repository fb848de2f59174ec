"""Instructions by which the 32 threads of a warp exchange values (sections 9.7.9 and 9.7.14)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.program import Instruction, Vector
from tinygrad_mnist.backends.ptx.writer import Writer, lacking, opcode
from tinygrad_mnist.contracts.core.base import Array

WARP = 32
_SHUFFLES = ("up", "down", "bfly", "idx")
_VOTES = ("all", "any", "uni", "ballot")
_MATRIX = re.compile(r"m16n8k(4|8)")


@opcode("shfl")
def _shfl(w: Writer, i: Instruction) -> None:
    if i.opcode[1] != "sync" or i.opcode[2] not in _SHUFFLES or i.opcode[3] != "b32":
        raise lacking(i)
    value, by, limits, mask = (w.use(o, "u32") for o in i.operands[1:])
    site = w.site(i)
    call = f"m.shuffled({i.opcode[2]!r}, {value}, {by}, {limits}, {mask}, {site}, lanes)"
    results = w.temporary(call)
    target = i.operands[0]
    targets = target.items if isinstance(target, Vector) else (target,)
    w.define(targets[0], "u32", f"{results}[0]")
    if len(targets) > 1:
        w.define(targets[1], "pred", f"{results}[1]")


@opcode("vote")
def _vote(w: Writer, i: Instruction) -> None:
    if i.opcode[1] != "sync" or i.opcode[2] not in _VOTES:
        raise lacking(i)
    how, kind = i.opcode[2:]
    value, mask = w.use(i.operands[1], "pred"), w.use(i.operands[2], "u32")
    w.define(i.operands[0], kind, f"m.voted({how!r}, {value}, {mask}, {w.site(i)}, lanes)")


@opcode("activemask")
def _activemask(w: Writer, i: Instruction) -> None:
    yes, all_threads = w.constant(1, "pred"), w.constant(0, "u32")
    call = f"m.voted('ballot', {yes}, {all_threads}, {w.site(i)}, lanes)"
    w.define(i.operands[0], "b32", call)


@opcode("mma")
def _mma(w: Writer, i: Instruction) -> None:
    shape = _MATRIX.fullmatch(i.opcode[3]) if len(i.opcode) == 10 else None
    form = ("mma", "sync", "aligned", "row", "col", "f32", "tf32", "tf32", "f32")
    if shape is None or i.opcode[:3] + i.opcode[4:] != form:
        raise lacking(i)
    k = int(shape[1])
    parts = []
    for operand, kind in zip(i.operands[1:], ("u32", "u32", "f32"), strict=True):
        assert isinstance(operand, Vector)
        parts.append("".join(f"{w.use(o, kind)}, " for o in operand.items if o is not None))
    a, b, c = parts
    results = w.temporary(f"m.multiplied({k}, ({a}), ({b}), ({c}), {w.site(i)}, lanes)")
    target = i.operands[0]
    assert isinstance(target, Vector)
    for n, item in enumerate(target.items):
        w.define(item, "f32", f"{results}[{n}]")


def positions(block: Array, thread: Array, threads_of_block: int) -> tuple[Array, Array]:
    """Of each thread, the number of its warp among all and its lane there; see `Run`."""
    warps = -(-threads_of_block // WARP)
    return block * warps + thread // WARP, thread % WARP


def sources(how: str, lane: Array, by: Any, limits: Any) -> tuple[Array, Array]:
    """The lane that each thread reads in a shuffle, and whether it is inside of its segment."""
    by, limits = np.asarray(by).astype(np.int64), np.asarray(limits).astype(np.int64)
    clamp, segment = limits & 31, (limits >> 8) & 31
    highest = (lane & segment) | (clamp & ~segment)
    lowest = lane & segment
    if how == "up":
        source = lane - (by & 31)
        inside = source >= highest
    elif how == "down":
        source = lane + (by & 31)
        inside = source <= highest
    elif how == "bfly":
        source = lane ^ (by & 31)
        inside = source <= highest
    else:
        source = lowest | (by & 31 & ~segment)
        inside = source <= highest
    return np.where(inside, source, lane), inside


def product(k: int, a: list[Array], b: list[Array], c: list[Array]) -> list[Array]:
    """mma of 16 x k and k x 8 numbers (section 9.7.14.5): one array per register of a thread, whose
    rows are warps. Factors are tf32: the low 13 bits don't count. Sums are rounded once."""
    warps = len(a[0])
    left, right = np.zeros((warps, 16, k)), np.zeros((warps, k, 8))
    lanes = np.arange(WARP)
    group, member = lanes // 4, lanes % 4
    for n, values in enumerate(a):
        left[:, group + 8 * (n % 2), member + 4 * (n // 2)] = _tf32(values)
    for n, values in enumerate(b):
        right[:, member + 4 * n, group] = _tf32(values)
    total = left @ right
    results = []
    for n, values in enumerate(c):
        part = total[:, group + 8 * (n // 2), 2 * member + n % 2]
        results.append((part + values).astype(np.float32))
    return results


def _tf32(bits: Array) -> Array:
    return (bits & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)
