"""Starts: importing a framework, its first step, and its memory, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.job import FRAMEWORKS, Job
from benchmarks.match import PATIENCE_S, Worker, WorkerError, environment, pinning

IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
STEPS = 20  # before memory is read
KEYS = ("first_step_s", "import_s", "memory_bytes")


def import_seconds(job: Job) -> float:
    """What an import takes in a fresh process like a worker's, with all that it imports, NumPy too.

    The second of two is timed: an installed package has its byte code. Raises WorkerError.
    """
    package = FRAMEWORKS[job.framework][1]
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        variables = environment(job, folder)
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(2):
            try:
                run = subprocess.run(
                    [sys.executable, "-c", IMPORT.format(package)],
                    capture_output=True,
                    text=True,
                    check=True,
                    timeout=PATIENCE_S,
                    env=variables,
                    preexec_fn=pinning(job),
                )
            except subprocess.TimeoutExpired as error:
                message = f"{job.name}: {package} was not imported in {PATIENCE_S:.0f} s"
                raise WorkerError(message) from error
            except subprocess.CalledProcessError as error:
                last = (error.stderr.strip().splitlines() or [str(error)])[-1]
                raise WorkerError(f"{job.name}: {last}") from error
            seconds = float(run.stdout.split()[-1])
    return seconds


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
    imported = import_seconds(job)
    return {"first_step_s": first, "import_s": imported, "memory_bytes": memory}


def starts(
    jobs: Sequence[Job], path: str, rounds: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Medians over some starts of each job, in turn, one at a time, without jobs that fail."""
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
