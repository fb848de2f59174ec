"""Measures profiles: runs timed call by call alternate with runs that are not."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from tinygrad_mnist.backends.base import Backend, Timings
from tinygrad_mnist.profiling.records import Profile, dtype_of
from tinygrad_mnist.profiling.roofline import measure_roofline
from tinygrad_mnist.profiling.watch import Recorded, recording


def profile_runs(
    name: str, backend: Backend, run: Callable[[], object], repeats: int, roofline: bool
) -> Profile:
    """The profile of `run`, a call or a sweep of one function.

    It is called once to make the plan. Then it is called `repeats` times as it is and as often with
    every kernel call timed, alternately. roofline: measure that of the machine, too.

    Raises ValueError if its steps need several plans.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it must be at least 1")
    run()
    plain: list[float] = []
    records: list[Recorded] = []
    for _ in range(repeats):
        begin = perf_counter()
        run()
        plain.append(perf_counter() - begin)
        with recording() as recorded:
            run()
        records += recorded
    if len({id(record.plan) for record in records}) != 1:
        raise ValueError(
            f"{name} runs several plans here, or none, since shapes change from step to step: "
            "profile steps that share a plan"
        )
    plan = records[0].plan
    parts = zip(*(record.timings for record in records), strict=True)
    timings = Timings(*map(np.concatenate, parts))
    dtypes = sorted({dtype_of(call) for call in plan.calls})
    return Profile(
        name,
        plan,
        timings,
        step_seconds=float(np.median(plain)) * repeats / len(timings.begins),
        backend=backend.name,
        target=backend.target,
        threads=backend.threads,
        roofline=measure_roofline(backend, dtypes) if roofline else None,
    )
