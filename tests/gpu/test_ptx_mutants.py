"""Errors put into the PTX of a step's kernels, each found by the check that should find it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from helpers.ptx_step import Launch, recorded_step, rerun

from tinygrad_mnist.backends.ptx.types import PtxError

pytestmark = pytest.mark.ptx

_LOAD = re.compile(r"(ld\.global\.f32 .*\[%rd\d+)(?:\+(\d+))?\]")
_WIDE = re.compile(r"\s*mul\.wide\.u32 \s*(%rd\d+), (%r\d+), (4|16);")
_ZERO = re.compile(r"\s*mov\.f32 \s*%f\d+, 0f00000000;")


def found(one: Launch, lines: list[str]) -> set[str]:
    """The kinds of faults of a launch with this text, or that it can't run."""
    try:
        return {fault.kind for fault in rerun(one, "\n".join(lines)).faults}
    except PtxError:
        return {"unset register"}


def mutants(pattern: re.Pattern[str], limit: int = 1) -> Iterator[tuple[Launch, list[str], int]]:
    """Launches, one for each kernel, the lines of their text, and those that match a pattern."""
    seen: set[str] = set()
    for one in recorded_step().launches:
        lines = one.kernel.text.split("\n")
        places = [k for k, line in enumerate(lines) if pattern.search(line)]
        if places and one.kernel.name not in seen:
            seen.add(one.kernel.name)
            for k in places[:: max(1, len(places) // limit)][:limit]:
                yield one, list(lines), k


def test_unmutated_launches_are_clean() -> None:
    for one in recorded_step().launches:
        assert found(one, one.kernel.text.split("\n")) == set()


def test_shifted_indices() -> None:
    """An address that begins an operand's length later."""
    n = 0
    for one, lines, k in mutants(_LOAD):
        largest = max(w.high - w.low for w in one.windows)
        lines[k] = _LOAD.sub(rf"\g<1>+{largest // 4 * 4}]", lines[k])
        assert "outside" in found(one, lines), (one.kernel.name, lines[k])
        n += 1
    assert n >= 5


def test_shifts_by_one_element() -> None:
    """Some thread's element is the last one of an operand, or nothing has written the next."""
    kernels = {}
    for one, lines, k in mutants(_LOAD, 3):
        lines[k] = _LOAD.sub(lambda m: f"{m[1]}+{int(m[2] or 0) + 4}]", lines[k])
        kinds = found(one, lines)
        kernels[one.kernel.name] = kernels.get(one.kernel.name, False) or bool(
            kinds & {"outside", "unwritten", "race"}
        )
    assert sum(kernels.values()) >= 4, kernels


def test_indices_that_wrap_around() -> None:
    """i * (1 - 2**31) - i * 2**31 is i again, modulo 2**32."""
    n = 0
    for one, lines, k in mutants(_WIDE):
        match = _WIDE.match(lines[k])
        assert match is not None
        target, index, size = match.groups()
        lines[k] = (
            "{ .reg .b32 %other; .reg .b32 %whole;"
            f" mul.lo.s32 %other, {index}, -2147483647;"
            f" mad.lo.s32 %whole, {index}, -2147483648, %other;"
            f" mul.wide.u32 {target}, %whole, {size}; }}"
        )
        assert found(one, lines) <= {"overflow"}, (one.kernel.name, lines[k])
        n += found(one, lines) == {"overflow"}
    assert n >= 5


def test_bounds_checks_that_are_dropped() -> None:
    """The first and the last branch of a kernel."""
    kinds = set()
    for one in recorded_step().launches:
        lines = one.kernel.text.split("\n")
        if "conv2d" in one.kernel.name:
            continue  # long ones
        branches = [k for k, line in enumerate(lines) if re.match(r"\s*@%p\d+ bra", line)]
        for k in branches[:1] + branches[-1:]:
            kinds |= {
                (one.kernel.name, kind)
                for kind in found(one, [*lines[:k], "", *lines[k + 1 :]])
                if kind in ("outside", "race", "unwritten", "divergent")
            }
    assert {name for name, kind in kinds if kind in ("outside", "race")} >= {"gemm"}, kinds


def test_accumulators_that_are_not_set() -> None:
    n = 0
    for one, lines, k in mutants(_ZERO):
        lines[k] = ""
        n += "unset register" in found(one, lines)
    assert n >= 2


def test_swapped_tiles() -> None:
    n = 0
    for one in recorded_step().launches:
        text = one.kernel.text
        names = re.findall(r"\.shared .* (\w+)\[\d+\];", text)
        if len(names) < 2:
            continue
        uses = re.compile(rf"(mov\.u64 \s*%rd\d+, )({names[0]}|{names[1]});")
        other = {names[0]: names[1], names[1]: names[0]}
        swapped = uses.sub(lambda m: f"{m[1]}{other[m[2]]};", text, count=1)  # noqa: B023
        assert found(one, swapped.split("\n")) & {"outside", "race", "unwritten"}, names
        n += 1
    assert n >= 1
