"""Measures profiles: runs timed call by call alternate with runs that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter

import numpy as np

from tinygrad_mnist.backends.base import Backend, Timings
from tinygrad_mnist.profiling.records import Profile, dtype_of
from tinygrad_mnist.profiling.roofline import measure_roofline
from tinygrad_mnist.profiling.segmented import SegmentedProfile
from tinygrad_mnist.profiling.timeline import joined
from tinygrad_mnist.profiling.watch import Recorded, RecordedChunks, recording, recording_chunks


def profile_runs(
    name: str,
    backend: Backend,
    run: Callable[[], object],
    repeats: int,
    roofline: bool,
    timeline: bool = False,
    is_cut: Callable[[], bool] = lambda: False,
) -> Profile | SegmentedProfile:
    """The profile of `run`, a call or a sweep of one function.

    It is called once to make the plan. Then it is called `repeats` times as it is and as often with
    every kernel call timed, alternately. roofline: measure that of the machine, too. timeline:
    call it `repeats` times more, and record when each chunk runs, where the device has chunks.
    is_cut: whether the function is cut, which is known after the first call; each of its plans then
    has a profile.

    Raises ValueError if its steps need several plans and it isn't cut.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it must be at least 1")
    run()
    plain: list[float] = []
    records: list[Recorded] = []
    chunks: list[RecordedChunks] = []
    for _ in range(repeats):
        begin = perf_counter()
        run()
        plain.append(perf_counter() - begin)
        with recording() as recorded:
            run()
        records += recorded
        if timeline:
            with recording_chunks() as recorded_chunks:
                run()
            chunks += recorded_chunks
    by_plan = of_each_plan(records)
    if is_cut():
        parts = [profile_of(r, backend, None, roofline, chunks) for r in by_plan]
        return SegmentedProfile(name, tuple(parts), float(np.median(plain)))
    if len(by_plan) != 1:
        raise ValueError(
            f"{name} runs several plans here, or none, since shapes change from step to step: "
            "profile steps that share a plan"
        )
    n_steps = sum(len(record.timings.begins) for record in records)
    step_seconds = float(np.median(plain)) * repeats / n_steps
    return profile_of(records, backend, step_seconds, roofline, chunks)


def of_each_plan(records: Iterable[Recorded]) -> list[list[Recorded]]:
    """The runs of each plan, in the order of the first ones."""
    by_plan: dict[int, list[Recorded]] = {}
    for record in records:
        by_plan.setdefault(id(record.plan), []).append(record)
    return list(by_plan.values())


def profile_of(
    records: Sequence[Recorded],
    backend: Backend,
    step_seconds: float | None = None,
    roofline: bool = False,
    chunks: Sequence[RecordedChunks] = (),
) -> Profile:
    """The profile of runs of one plan. step_seconds: a step's seconds without timing of its calls;
    roofline: measure that of the machine, too; chunks: runs of this and other plans."""
    plan = records[0].plan
    parts = zip(*(record.timings for record in records), strict=True)
    timings = Timings(*map(np.concatenate, parts))
    timelines = [record.timeline for record in chunks if record.plan is plan]
    dtypes = sorted({dtype_of(call) for call in plan.calls})
    return Profile(
        records[0].name,
        plan,
        timings,
        step_seconds,
        backend=backend.name,
        target=backend.target,
        threads=backend.threads,
        roofline=measure_roofline(backend, dtypes) if roofline else None,
        timeline=joined(timelines) if timelines else None,
    )
