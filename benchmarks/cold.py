"""Starts: importing a framework, its first step, and its memory, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.job import FRAMEWORKS, Job
from benchmarks.match import Worker, WorkerError

IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
STEPS = 20  # before memory is read
KEYS = ("first_step_s", "import_s", "memory_bytes")


def import_seconds(package: str) -> float:
    """What an import takes in a fresh process, with all that it imports, NumPy too."""
    command = [sys.executable, "-c", IMPORT.format(package)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=quiet)
    return float(run.stdout)


def start(job: Job, path: str) -> dict[str, float]:
    """One start of a job, with no compiled code kept from an earlier one.

    first_step_s: from the first line that describes the net to the first step's result; what it
    imports is there already, images are not counted. memory_bytes: the process's most, 10,000
    images included.
    """
    worker = Worker(job, cold=True)
    try:
        worker.ask(do="load", path=path)
        first = worker.facts["build_s"] + worker.ask(do="run", steps=1)["seconds"]
        worker.ask(do="run", steps=STEPS)
        memory = worker.ask(do="memory")["bytes"]
    finally:
        worker.close()
    imported = import_seconds(FRAMEWORKS[job.framework][1])
    return {"first_step_s": first, "import_s": imported, "memory_bytes": memory}


def starts(
    jobs: Sequence[Job], path: str, rounds: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Medians over some starts of each job, in turn, one at a time; who fails is left out."""
    taken: dict[Job, list[dict[str, float]]] = {}
    failed: set[Job] = set()
    for turn in range(rounds):
        say(f"starts, round {turn + 1} of {rounds}")
        for job in [j for j in jobs if j not in failed]:
            try:
                taken.setdefault(job, []).append(start(job, path))
            except WorkerError as error:
                say(f"left out: {error}")
                failed.add(job)
    return [
        {"name": job.name, **{key: median(s[key] for s in each) for key in KEYS}, "starts": each}
        for job, each in taken.items()
        if job not in failed
    ]


def table(workload: str, rows: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [
        f"### Starts of {workload}, a call per step",
        "",
        "| | first step, s | import, s | memory, MB |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['name']} | {row['first_step_s']:.3f} | {row['import_s']:.2f} "
        f"| {row['memory_bytes'] / 1e6:.0f} |"
        for row in rows
    ]
    return "\n".join([*lines, ""])
