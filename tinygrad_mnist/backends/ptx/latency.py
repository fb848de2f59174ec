"""The cycles of one warp that has a multiprocessor for itself.

The instructions of a basic block start as soon as their operands are there, in the best order: the
assembler looks for it. All of a block have started before the next block does, one in a cycle. A
load doesn't start before a store to the same space that comes before it, since they may overlap.
Loads from global memory come from the L2 cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tinygrad_mnist.backends.ptx.blocks import SKIP, Block
from tinygrad_mnist.backends.ptx.classes import class_of
from tinygrad_mnist.backends.ptx.kernel import Kernel
from tinygrad_mnist.backends.ptx.processors import BARRIER, BRANCH
from tinygrad_mnist.backends.ptx.program import Instruction
from tinygrad_mnist.backends.ptx.writer import read, written

_SPACES = ("global", "shared")


class _Step(NamedTuple):
    """An instruction. space: that it accesses, or ''. cycles: until its result is there."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    cycles: int
    space: str
    stores: bool


class _Steps(NamedTuple):
    """A block of code. slots: cycles in which its instructions start; moves take none. behind:
    cycles before the next block starts."""

    steps: list[_Step]
    slots: int
    behind: int


def warp_cycles(kernel: Kernel, trace: Sequence[int], cycles: Mapping[str, int]) -> int:
    """Of a warp that runs these blocks of code. cycles: by class of instructions; see
    `processors.Processor`."""
    steps = {number: _steps(kernel.blocks[number], cycles) for number in set(trace)}
    ready: dict[str, int] = {}
    stored: dict[str, int] = {}
    now = end = 0
    for number in trace:
        block = steps[number]
        last = now
        for step in block.steps:
            start = max([now, *(ready.get(name, 0) for name in step.reads)])
            if step.space and not step.stores:
                start = max(start, stored.get(step.space, 0))
            elif step.stores:
                stored[step.space] = max(start, stored.get(step.space, 0))
            for name in step.writes:
                ready[name] = start + step.cycles
            last, end = max(last, start), max(end, start + step.cycles)
        now = max(now + block.slots, last + (1 if block.slots else 0)) + block.behind
    return max(now, end)


def _steps(block: Block, cycles: Mapping[str, int]) -> _Steps:
    body = list(block.body)
    behind = 0
    if block.end is not None:
        if block.end.guard is not None:
            body.append(block.end)
        if block.end.name in ("bar", "barrier"):
            behind = BARRIER
        elif block.end.opcode != SKIP and block.end.name == "bra":
            behind = BRANCH
    slots = sum(i.opcode != SKIP and class_of(i) != "move" for i in body)
    return _Steps([_step(i, cycles) for i in body], slots, behind)


def _step(i: Instruction, cycles: Mapping[str, int]) -> _Step:
    if i.name == "bra":
        assert i.guard is not None
        return _Step((i.guard.name,), (), 0, "", False)
    name = class_of(i)
    space = next((s for s in _SPACES if name.endswith(s) and "nc" not in i.opcode), "")
    stores = name.startswith("store")
    wait = 1 if stores else cycles.get(name, cycles["float"])
    return _Step(tuple(read(i)), tuple(written(i)), wait, space, stores)
