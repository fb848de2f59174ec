"""Plans as text: one line per kernel call, with what it costs, and the totals.

Lines are broken at 120 columns. Nothing here depends on the machine or the moment.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.listing import show_tape

if TYPE_CHECKING:
    from tinygrad_mnist.compile.plan import KernelCall, Plan, View

COLUMNS = 120


def show_plan(plan: Plan) -> str:
    """The table of a plan's calls, between a line on the plan and one with the totals."""
    lines = [
        f"plan for {plan.backend}: {counted(len(plan.calls), 'call')}",
        "  #     FLOP    bytes  call",
    ]
    for number, call in enumerate(plan.calls):
        costs = f"{number:3d}  {scaled(call.flops):>7}  {scaled(call.nbytes):>7}  "
        text, *tapes = show_call(plan, call)
        if tapes and len(costs) + len(text) + len("  ".join(["", *tapes])) <= COLUMNS:
            text, tapes = "  ".join([text, *tapes]), []
        margin = " " * len(costs)
        lines += _wrapped(text, costs, margin + "  ")
        for tape in tapes:
            lines += _wrapped(tape, margin + "  ", margin + "    ")
    return "\n".join([*lines, _totals(plan)])


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _totals(plan: Plan) -> str:
    kinds = [buffer.kind for buffer in plan.buffers]
    parts = [
        f"{scaled(plan.flops)}FLOP",
        f"{scaled(plan.nbytes)}B read and written",
        f"arena {scaled(plan.arena_bytes)}B for {counted(kinds.count('temporary'), 'temporary')}",
        f"shared {scaled(plan.shared_bytes)}B in {counted(kinds.count('shared'), 'variable')}",
        counted(plan.host.n_slots, "slot"),
    ]
    return f"total: {'; '.join(parts)}"


def counted(n: int, noun: str) -> str:
    """A number and its noun: `1 slot`, `2 slots`, `3 temporaries`."""
    if n == 1:
        return f"{n} {noun}"
    return f"{n} {noun.removesuffix('y')}ies" if noun.endswith("ry") else f"{n} {noun}s"


def scaled(value: float) -> str:
    """Three digits and a decimal prefix: `0 `, `950 `, `1.23 k`, `45.6 M`, `789 G`."""
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            digits = 0 if prefix == "" or value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f} {prefix}"
        value /= 1000
    return f"{value:.0f} T"


def show_call(plan: Plan, call: KernelCall) -> list[str]:
    """A call's text: `outputs = kernel(inputs)`, then each of its tapes that does something."""
    inputs = ", ".join(show_view(plan, v) for v in call.inputs)
    outputs = ", ".join(show_view(plan, v) for v in call.outputs) or "-"
    tapes = [
        f"{name}: {show_tape(tape)}"
        for name, tape in CONTRACTS[call.kernel].named_tapes(call.params)
        if not tape.is_identity
    ]
    return [f"{outputs} = {call.kernel}({inputs})", *tapes]


def show_view(plan: Plan, view: View) -> str:
    """`name:shape`, with `+s0` where slot 0 moves it and 1 for a length along which it repeats."""
    shape = "x".join(map(str, view.true_shape)) or "scalar"
    slots = "".join(f"+s{slot}" for slot, _ in view.layout.slots)
    return f"{plan.buffers[view.buffer].name}{slots}:{shape}"
