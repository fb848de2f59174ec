"""What `config.debug` prints about a plan when it is made, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tinygrad_mnist.compile.listing import counted, scaled
from tinygrad_mnist.compile.pipeline import Compiled
from tinygrad_mnist.compile.plan import Plan, show_call
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.listing import tape_code

SUMMARY, RUNS, REWRITES, PLAN, CODE = range(1, 6)  # levels of `config.debug`


def report_plan(name: str, compiled: Compiled) -> None:
    """Says what the level asks for; nothing at level 0.

    name: of the function that the plan is for.
    """
    level = config.debug
    if level < SUMMARY:
        return
    lines = [_summary(name, compiled)]
    if level >= REWRITES:
        lines += _rewrites(compiled)
    if level >= PLAN:
        lines += str(compiled.plan).splitlines()
    if level >= CODE:
        lines += _code(compiled.plan)
    print("\n".join(lines), file=sys.stderr, flush=True)


def _summary(name: str, compiled: Compiled) -> str:
    plan = compiled.plan
    costs = [
        counted(len(plan.calls), "call"),
        f"{scaled(plan.flops)}FLOP",
        f"{scaled(plan.nbytes)}B",
        f"arena {scaled(plan.arena_bytes)}B",
    ]
    stages = ", ".join(f"{stage.name} {stage.seconds * 1e3:.1f}" for stage in compiled.stages)
    total = sum(stage.seconds for stage in compiled.stages)
    return f"plan of {name}: {', '.join(costs)}; made in {total * 1e3:.1f} ms: {stages}"


def _rewrites(compiled: Compiled) -> Iterator[str]:
    for stage in compiled.stages:
        if stage.fired:
            rules = ", ".join(f"{rule} {times}" for rule, times in sorted(stage.fired.items()))
            yield f"rewrites of {stage.name}: {rules}"


def _code(plan: Plan) -> Iterator[str]:
    """The host program, and the tapes of every call as straight-line code."""
    yield "code of the host, before each call:"
    yield from _indented(plan.host.text)
    for number, call in enumerate(plan.calls):
        named = CONTRACTS[call.kernel].named_tapes(call.params)
        tapes = [(name, tape) for name, tape in named if not tape.is_identity]
        if tapes:
            yield f"code of call {number}: {show_call(plan, call)[0]}"
        for name, tape in tapes:
            yield from _indented(tape_code(name.replace(" ", "_"), tape))


def _indented(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"    {line}"
