"""The tables of a profile of counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

from tinygrad_mnist.backends.ptx.program import Instruction
from tinygrad_mnist.profiling.columns import Row, aligned, terminal_width
from tinygrad_mnist.profiling.counts import CountProfile, LaunchCounts

WORK_HEAD = (
    *("#", "kernel", "launch", "instr", "active"),
    *("fma", "float", "int", "memory", "other", "parted", "barriers"),
)
MEMORY_HEAD = (
    *("#", "kernel", "global", "sectors", "at best", "kB"),
    *("shared", "waves", "conflicts"),
)
TIME_HEAD = (
    *("#", "kernel", "regs", "bytes", "spills", "resident", "occupied", "limit"),
    *("us", "bound", "roofline us"),
)
_MEMORY = ("load global", "store global", "load shared", "store shared", "local", "constant")
_LINES = 5  # lines of kernels that are named for each kind of excess


def tables(profile: CountProfile) -> Iterator[tuple[str, Row, list[list[str]]]]:
    """Title, head and rows of each table; a row per launch."""
    for title, head, cells in (
        ("instructions of warps", WORK_HEAD, _work),
        ("memory: requests of warps", MEMORY_HEAD, _memory),
        ("resources, and time as estimated", TIME_HEAD, _time),
    ):
        rows = [[*_name(one), *cells(one)] for one in profile.launches]
        yield title, head, rows


def show_counts(profile: CountProfile, width: int | None = None) -> str:
    """A profile as text. width: in characters, by default that of the terminal."""
    width = width or terminal_width()
    lines = [title(profile)]
    for name, head, rows in tables(profile):
        lines += ["", name, *aligned(head, rows, width)]
    return "\n".join([*lines, "", *summary(profile)])


def title(profile: CountProfile) -> str:
    """The function and the GPU, in one line."""
    on = profile.processor
    major, minor = on.capability
    return (
        f"{profile.name} on ptx, for sm_{major}{minor}: one step counted; times are estimated, for"
        f" NVIDIA's {on.name}, and not measured"
    )


def _name(one: LaunchCounts) -> list[str]:
    mark = " *" if one.counts.is_sampled else ""
    return ["-" if one.number is None else str(one.number), one.kernel + mark]


def _work(one: LaunchCounts) -> list[str]:
    c = one.counts
    shares = [
        c.share("fma"),
        c.share("float", "double", "special", "tensor"),
        c.share("integer", "compare"),
        c.share(*_MEMORY),
        c.share("move", "convert", "warp", "barrier", "branch"),
    ]
    return [
        f"{c.n_blocks} x {c.n_threads}",
        f"{c.instructions:,}",
        f"{c.active_threads:.1f}",
        *(f"{share:.0%}" for share in shares),
        f"{c.divergent:,}",
        f"{c.barriers:.1f}".removesuffix(".0"),
    ]


def _memory(one: LaunchCounts) -> list[str]:
    wide, shared = one.counts.total("global"), one.counts.total("shared")
    best = wide.least / wide.requests if wide.requests else 0.0
    return [
        f"{wide.requests:,}",
        f"{wide.per_request:.1f}",
        f"{best:.1f}",
        f"{wide.units * 32 / 1000:,.0f}",
        f"{shared.requests:,}",
        f"{shared.per_request:.1f}" if shared.requests else "-",
        f"{shared.excess:,}",
    ]


def _time(one: LaunchCounts) -> list[str]:
    least = one.roofline_seconds
    return [
        str(one.code.registers),
        f"{one.shared_bytes:,}",
        f"{one.code.spilled:,}",
        str(one.held.blocks),
        f"{one.held.share:.0%}",
        one.held.limit,
        f"{one.estimate.seconds * 1e6:.2f}",
        one.estimate.bound,
        "-" if least is None else f"{least * 1e6:.2f}",
    ]


# --- below the tables ---------------------------------------------------------------------------


def summary(profile: CountProfile) -> list[str]:
    """The totals, what was sampled, and the lines of kernels that cost the most in excess."""
    n, seconds = profile.longest_chain
    lines = [
        f"a step, as estimated: {profile.seconds * 1e6:.1f} us for {len(profile.launches)} launches"
        " one after the other;",
        f"{seconds * 1e6:.1f} us for the longest chain of launches that wait for each other, {n} of"
        " them",
    ]
    sampled = [one for one in profile.launches if one.counts.is_sampled]
    if sampled:
        parts = (
            f"{' '.join(_name(one)).removesuffix(' *')} {one.counts.counted:,} of"
            f" {one.counts.n_blocks:,}"
            for one in sampled
        )
        lines.append(f"* sampled, and scaled up: blocks of {', '.join(parts)}")
    for kind, space, unit in (
        ("sectors more than dense accesses would need", "global", "sectors"),
        ("wavefronts more than without bank conflicts", "shared", "wavefronts"),
    ):
        worst = worst_lines(profile, space)
        lines += ["", f"{kind}:"] if worst else []
        lines += [
            f"{one.excess:>9,}  {one.call}{one.kernel}, {one.where}:\n"
            f"{'':>11}{one.units:.1f} {unit} per request, at best {one.least:.1f}"
            for one in worst
        ]
    return lines


class Excess(NamedTuple):
    """Accesses of a line of a kernel. units, least: per request."""

    excess: int
    call: str
    kernel: str
    where: str
    units: float
    least: float


def worst_lines(profile: CountProfile, space: str) -> list[Excess]:
    """The lines with the most excess, at most a few."""
    found = []
    for one in profile.launches:
        sums: dict[str, Counter[str]] = {}
        for access in one.counts.accesses:
            if access.space == space and access.units > access.least:
                line = sums.setdefault(_line(access.instruction), Counter())
                line.update(n=access.requests, units=access.units, least=access.least)
        scale = one.counts.n_blocks / one.counts.counted
        found += [
            Excess(
                round(scale * (s["units"] - s["least"])),
                "" if one.number is None else f"call {one.number}, ",
                one.kernel,
                where,
                s["units"] / s["n"],
                s["least"] / s["n"],
            )
            for where, s in sums.items()
        ]
    return sorted(found, key=lambda one: -one.excess)[:_LINES]


def _line(i: Instruction) -> str:
    """Where an instruction comes from: `conv2d/forward.py:210 (ld.shared.v4.f32)`."""
    opcode = ".".join(i.opcode)
    if i.location is None:
        return opcode
    return f"{'/'.join(PurePath(i.location.file).parts[-2:])}:{i.location.line} ({opcode})"
