"""Profiles as tables of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tinygrad_mnist.compile.listing import counted

if TYPE_CHECKING:
    from tinygrad_mnist.compile.plan import KernelCall
    from tinygrad_mnist.profiling.records import CallProfile, KernelProfile, Profile

_SHAPES = 42  # characters
COSTS = ("us", "share", "GFLOP/s", "GB/s", "roofline")
CALL_HEAD = ("#", "kernel", "shapes", *COSTS)
KERNEL_HEAD = ("kernel", "calls", *COSTS)
TEXTS = ("kernel", "shapes")  # columns that are aligned to the left


def show_profile(profile: Profile) -> str:
    """A profile as text: a line on what ran, a table by call, one by kernel, and the totals."""
    lines = [title(profile), ""]
    lines += _aligned(CALL_HEAD, list(call_rows(profile)))
    lines += ["", *_aligned(KERNEL_HEAD, list(kernel_rows(profile))), ""]
    return "\n".join([*lines, *summary(profile)])


def title(profile: Profile) -> str:
    """What was measured, in one line."""
    processor = ", ".join([profile.target, *profile.team])
    steps = counted(profile.steps, "step")
    return f"{profile.name} on {profile.backend} ({processor}): medians of {steps}"


def call_rows(profile: Profile) -> Iterator[list[str]]:
    """A row per call, in the order of the plan."""
    for c in profile.calls:
        yield [str(c.number), c.kernel, shapes(c.call), *_costs(profile, c)]


def kernel_rows(profile: Profile) -> Iterator[list[str]]:
    """A row per kernel, and one for all."""
    for kernel in (*profile.kernels, profile.total):
        yield [kernel.kernel, str(kernel.calls), *_costs(profile, kernel)]


def _costs(profile: Profile, cost: CallProfile | KernelProfile) -> list[str]:
    reached = cost.roofline_share
    microseconds = cost.seconds * 1e6
    return [
        f"{microseconds:.{2 if microseconds < 10 else 1}f}",
        f"{profile.share(cost):.1%}",
        f"{cost.flops_per_second / 1e9:.1f}",
        f"{cost.bytes_per_second / 1e9:.1f}",
        "-" if reached is None else f"{reached:.0%}",
    ]


def shapes(call: KernelCall) -> str:
    """`2x4 <- 2x3, 3x4`, operands as they lie in memory."""
    inputs, outputs = (
        ", ".join("x".join(map(str, v.true_shape)) or "scalar" for v in views)
        for views in (call.inputs, call.outputs)
    )
    text = f"{outputs or '-'} <- {inputs or '-'}"
    return text if len(text) <= _SHAPES else text[: _SHAPES - 3] + "..."


def summary(profile: Profile) -> list[str]:
    """The totals, and the machine's roofline where it was measured."""
    lines = [
        f"a step, not timed call by call: {profile.step_seconds * 1e6:.1f} us, "
        f"of which kernel calls take {profile.kernel_share:.0%}"
    ]
    if profile.roofline is not None:
        peaks = ", ".join(
            f"{peak / 1e9:.1f} GFLOP/s in {dtype}" for dtype, peak in profile.roofline.peaks.items()
        )
        lines.append(f"this machine: {peaks}")
        lines.append(f"and GB/s by working set: {bandwidths(profile)}")
    return lines


def bandwidths(profile: Profile) -> str:
    """`16 KiB 204, 64 KiB 105, ...`: every second step of the ladder."""
    assert profile.roofline is not None
    return ", ".join(
        f"{size >> 20} MiB {rate / 1e9:.0f}" if size >= 1 << 20
        else f"{size >> 10} KiB {rate / 1e9:.0f}"
        for size, rate in profile.roofline.bandwidths[::2]
    )  # fmt: skip


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if name in TEXTS else cell.rjust(width)
            for cell, width, name in zip(row, widths, head, strict=True)
        ).rstrip()
        for row in (head, *rows)
    ]
