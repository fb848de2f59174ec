"""Errors put into the PTX of kernels of two steps, each found by the check that should find it.

A mutant that nothing finds has to be equivalent: it must leave the same memory. Where values show
it alone, this is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import pytest
from helpers.ptx_step import STEPS, Launch, contents, recorded_step, rerun

from tinygrad_mnist.backends.ptx.types import UnsetRegisterError

pytestmark = pytest.mark.ptx

UNSET = "unset register"  # an error of the machine itself
ADDRESSES = frozenset({"outside", "unwritten", "race", "misaligned", "write"})
NUMBERS = r"(%rd\d+)(?:\+(-?\d+))?"


class Mutation(NamedTuple):
    """pattern: of the lines that it changes. change: makes another line of a match. finders: the
    checks that find it. limit: places tried in a kernel. values: whether others may show in the
    result alone."""

    pattern: str
    change: Callable[[re.Match[str], Launch], str]
    finders: frozenset[str]
    limit: int
    values: bool = False


def moved(match: re.Match[str], by: int) -> str:
    head, base, offset, tail = match.groups()
    return f"{head}[{base}+{int(offset or 0) + by}]{tail}"


def size(opcode: str) -> int:
    """Bytes of an access."""
    n = 4 if ".v4" in opcode else 2 if ".v2" in opcode else 1
    return n * int(re.findall(r"\.[a-z](\d+)\b", opcode)[-1]) // 8


def longest(one: Launch) -> int:
    """Bytes of the longest operand, to a multiple of 16."""
    return max(w.high - w.low for w in one.windows) // 16 * 16 + 16


def half_of_shared(one: Launch) -> int:
    sizes = re.findall(r"\.shared .*\[(\d+)\];", one.kernel.text)
    return max(int(n) for n in sizes) // 32 * 16


def wrapped(match: re.Match[str], _: Launch) -> str:
    """i * (1 - 2**31) - i * 2**31 is i again, modulo 2**32."""
    target, index, size = match.groups()
    return (
        "{ .reg .b32 %other; .reg .b32 %whole;"
        f" mul.lo.s32 %other, {index}, -2147483647;"
        f" mad.lo.s32 %whole, {index}, -2147483648, %other;"
        f" mul.wide.u32 {target}, %whole, {size}; }}"
    )


def swapped(match: re.Match[str], one: Launch) -> str:
    """Another shared array of the kernel, if it has one."""
    names = re.findall(r"\.shared .* (\w+)\[\d+\];", one.kernel.text)
    return f"{match[1]}{names[names.index(match[2]) - 1]};"


LOAD, SHARED = (rf"^(\s*ld\.{space}\.\S+ .*)\[{NUMBERS}\](.*)$" for space in ("global", "shared"))
MUTATIONS = {
    "index shifted by an operand": Mutation(
        LOAD, lambda m, one: moved(m, longest(one)), frozenset({"outside"}), 1
    ),
    "index shifted by an element": Mutation(
        LOAD, lambda m, _: moved(m, size(m[1])), ADDRESSES, 4, values=True
    ),
    "index that wraps around": Mutation(
        r"^\s*mul\.wide\.u32 \s*(%rd\d+), (%r\d+), (4|8|16);$", wrapped, frozenset({"overflow"}), 1
    ),
    # Some of these branches choose what is computed, and change values alone.
    "bounds check dropped": Mutation(
        r"^\s*@!?%p\d+ bra", lambda *_: "", ADDRESSES | {"divergent", UNSET}, 3, values=True
    ),
    "bound of an index dropped": Mutation(
        r"^\s*min\.[us]32 \s*(%r\d+), (%r\d+), \S+;$",
        lambda m, _: f"mov.u32 {m[1]}, {m[2]};",
        ADDRESSES,
        3,
    ),
    "accumulator not set": Mutation(
        r"^\s*mov\.f32 \s*%f\d+, 0f00000000;$", lambda *_: "", frozenset({UNSET}), 3, values=True
    ),
    "another tile read": Mutation(
        SHARED, lambda m, one: moved(m, half_of_shared(one)), ADDRESSES, 3, values=True
    ),
    "tiles swapped": Mutation(
        r"^(\s*mov\.u64 \s*%rd\d+, )(shared_array_\d+);$", swapped, ADDRESSES, 4, values=True
    ),
}
# Kernels in which one of these mutants or more is found, by mutation.
CONVOLUTIONS = {"conv2d", "conv2d_pool", "conv2d_pool_grad_input", "conv2d_grad_filter"}
NORMS = {"batch_norm", "batch_norm_grad"}
ALL = CONVOLUTIONS | NORMS | {"conv2d_pool_grad_filter", "elementwise", "gemm", "grouped_reduce"}
ALL |= {"pool2d", "pool2d_grad", "softmax_layer"}
FOUND = {
    "index shifted by an operand": ALL | {"advance", "check_range"},
    "index shifted by an element": {"conv2d", "conv2d_pool", "elementwise", "gemm", "pool2d"},
    "index that wraps around": ALL,
    "bounds check dropped": NORMS | {"conv2d", "conv2d_grad_filter", "pool2d", "pool2d_grad"},
    "bound of an index dropped": NORMS | {"grouped_reduce"},
    "accumulator not set": CONVOLUTIONS | NORMS | {"conv2d_pool_grad_filter"},
    "another tile read": CONVOLUTIONS | NORMS | {"grouped_reduce", "softmax_layer"},
    "tiles swapped": NORMS | {"softmax_layer"},
}


@cache
def launches() -> dict[str, list[Launch]]:
    """Those of both steps, by kernel."""
    found: dict[str, list[Launch]] = {}
    for name in STEPS:
        for one in recorded_step(name).launches:
            found.setdefault(one.kernel.name, []).append(one)
    return found


def ends_a_loop(lines: list[str], k: int) -> bool:
    """Whether a line is in a loop: a launch without the branch there might never end."""
    labels = {line.strip()[:-1]: n for n, line in enumerate(lines) if line.startswith("$")}
    branches = [(n, line.split()[-1].rstrip(";")) for n, line in enumerate(lines) if "bra" in line]
    return any(n >= k and labels.get(label, n) <= k for n, label in branches)


def mutants(mutation: Mutation) -> Iterator[tuple[Launch, str]]:
    """Launches with the text of a mutant, a few of each kernel."""
    pattern = re.compile(mutation.pattern)
    for group in launches().values():
        places = [
            (one, k, match)
            for one in group
            for k, line in enumerate(one.kernel.text.split("\n"))
            if (match := pattern.match(line))
            if "bra" not in line or not ends_a_loop(one.kernel.text.split("\n"), k)
        ]
        for one, k, match in places[:: max(1, len(places) // mutation.limit)][: mutation.limit]:
            lines = one.kernel.text.split("\n")
            lines[k] = mutation.change(match, one)
            text = "\n".join(lines)
            if text != one.kernel.text:
                yield one, text


def found(one: Launch, text: str) -> set[str]:
    """The kinds of faults of a launch with this text, or that it reads an unset register."""
    try:
        return {fault.kind for fault in rerun(one, text).faults}
    except UnsetRegisterError:
        return {UNSET}


@cache
def unmutated(number: int) -> list[bytes]:
    """What a launch leaves as it is, by its number in both steps; it has no faults."""
    one = [one for group in launches().values() for one in group][number]
    assert found(one, one.kernel.text) == set()
    return contents(one)


SLOW = {"index shifted by an element"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in MUTATIONS]
)
def test_mutants(name: str) -> None:
    mutation = MUTATIONS[name]
    numbers = {id(one): n for n, one in enumerate(o for g in launches().values() for o in g)}
    kernels = set()
    for one, text in mutants(mutation):
        before = unmutated(numbers[id(one)])
        kinds = found(one, text)
        assert kinds <= mutation.finders, (one.kernel.name, kinds)
        if kinds:
            kernels.add(one.kernel.name)
        else:
            assert mutation.values or contents(one) == before, one.kernel.name
    assert kernels >= FOUND[name]
