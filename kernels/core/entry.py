"""The kernel around a family's body: it finds the operands, and does nothing after a failed check.

A program's state is a tuple of two pointers to int64: `words`, at the indices below, and `table`,
one row per step. `row = words[STEP] + ahead`, where `ahead` is the number of the step within a
graph that holds several.
"""

from __future__ import annotations

from typing import Any

from .call import Function, Launch
from .device import cuda, device, load16, uint64

STEP, FAILED, FAILED_STEP = range(3)


def entry(launch: Launch, placed: Function | None, guarded: bool, note: int) -> Function:
    """The kernel `kernel(p, state, ahead)` of a launch.

    placed: `placed(p, table, row)`, a device function: the pointers of the step in this row of the
    table. None if no pointer depends on the step. guarded: whether the kernel does nothing after a
    failed check. note: what a failed check writes to words[FAILED].
    """
    body = device(launch.body)
    if launch.checks:
        return _checking(body, placed, note)
    if placed is None:
        if guarded:

            def kernel(p: Any, state: Any, ahead: Any) -> None:
                if state[0][FAILED] == 0:
                    body(p)

        else:

            def kernel(p: Any, state: Any, ahead: Any) -> None:
                body(p)

    elif guarded:

        def kernel(p: Any, state: Any, ahead: Any) -> None:
            words = load16(state[0], uint64(STEP))  # one wait for both words
            if words[FAILED] == 0:
                body(placed(p, state[1], words[STEP] + ahead))

    else:

        def kernel(p: Any, state: Any, ahead: Any) -> None:
            body(placed(p, state[1], state[0][STEP] + ahead))

    return kernel


def _checking(body: Function, placed: Function | None, note: int) -> Function:
    """The kernel of a check. Several threads may find an error; all write the same words."""
    if placed is None:

        def kernel(p: Any, state: Any, ahead: Any) -> None:
            if state[0][FAILED] == 0 and not body(p):
                state[0][FAILED_STEP] = state[0][STEP] + ahead
                state[0][FAILED] = note

    else:

        def kernel(p: Any, state: Any, ahead: Any) -> None:
            row = state[0][STEP] + ahead
            if state[0][FAILED] == 0 and not body(placed(p, state[1], row)):
                state[0][FAILED_STEP] = row
                state[0][FAILED] = note

    return kernel


def advance(p: Any, state: Any, ahead: Any) -> None:
    """The last kernel of a graph: adds `ahead`, here the steps of the graph, to the counter, unless
    a check failed."""
    if cuda.grid(1) == 0 and state[0][FAILED] == 0:
        state[0][STEP] += ahead
