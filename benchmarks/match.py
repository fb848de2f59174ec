"""Interleaved timing: workers take turns, block by block, so that ratios are of neighbours.

A worker that is not timed is stopped (SIGSTOP): no framework's idle threads spin in another's time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.job import FRAMEWORKS, Job

COMPARED = 10  # first costs that all frameworks must agree on
TOLERANCE = 2e-3  # relative, float32 and different orders of summation over some steps
NOISE = "noise"  # the data set without ties


class WorkerError(RuntimeError):
    """A worker that ended or answered with an error."""


def missing(frameworks: Sequence[str]) -> list[str]:
    """Those that are not installed."""
    return [f for f in frameworks if importlib.util.find_spec(FRAMEWORKS[f][1]) is None]


def environment(job: Job) -> dict[str, str]:
    """The process's variables: threads for all libraries, and what each framework is best with."""
    count = str(job.threads)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    variables = {**os.environ, **dict.fromkeys(names, count)}
    variables["TF_CPP_MIN_LOG_LEVEL"] = "3"
    variables["JAX_PLATFORMS"] = "cpu"
    if job.framework == "pytorch":  # freed memory stays: page faults would cost more than kernels
        variables["MALLOC_MMAP_THRESHOLD_"] = variables["MALLOC_TRIM_THRESHOLD_"] = str(1 << 30)
    return variables


class Worker:
    """A process that runs a job's steps. It is stopped whenever it is not asked for anything."""

    def __init__(self, job: Job) -> None:
        self.job = job
        processors = sorted(os.sched_getaffinity(0))[: job.threads]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", job.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(job),
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
        )
        self.facts = self._answer()
        self._process.send_signal(signal.SIGSTOP)

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to one request. Raises WorkerError."""
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        self._process.send_signal(signal.SIGSTOP)
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            self.close()
            raise WorkerError(f"{self.job.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass
class Result:
    """What was measured of one job: seconds of a step, by data and block, and the start's costs."""

    job: Job
    facts: dict[str, Any]
    first_s: float = 0.0
    memory: int = 0
    times: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)


def first_costs(worker: Worker) -> list[float]:
    """The costs of the first steps from the initial weights."""
    worker.ask(do="reset")
    costs: list[float] = []
    while len(costs) < COMPARED:
        costs += worker.ask(do="run", steps=worker.facts["quantum"])["costs"]
    return costs[:COMPARED]


def block_steps(worker: Worker, seconds: float) -> int:
    """Steps that take about so long, in the worker's quanta."""
    quantum = worker.facts["quantum"]
    worker.ask(do="run", steps=quantum)
    took = worker.ask(do="run", steps=quantum)["seconds"]
    return max(1, round(seconds / max(took, 1e-6))) * quantum


def play(
    jobs: Sequence[Job], data: dict[str, str], rounds: int, block_s: float, say: Any
) -> tuple[list[Result], list[str]]:
    """Runs all jobs of a workload against each other, `rounds` blocks of each on each data set.

    data: paths of .npz files by name. Returns the results, and what went wrong with the others.
    """
    results: list[Result] = []
    workers: list[Worker] = []
    problems: list[str] = []
    first_data = next(iter(data.values()))
    for job in jobs:
        say(f"starting {job.name}")
        try:
            worker = Worker(job)
            worker.ask(do="load", path=first_data)
            begun = worker.ask(do="run", steps=worker.facts["quantum"])["seconds"]
        except WorkerError as error:
            problems.append(str(error))
            continue
        workers.append(worker)
        # A quantum's other steps are part of what the first call of a loop takes.
        results.append(Result(job, worker.facts, worker.facts["build_s"] + begun))
    try:
        for name, path in data.items():
            say(f"timing on {name}")
            _play_on(workers, results, name, path, rounds, block_s)
        for worker, result in zip(workers, results, strict=True):
            result.memory = worker.ask(do="memory")["bytes"]
    finally:
        for worker in workers:
            worker.close()
    return results, problems


def _play_on(
    workers: Sequence[Worker],
    results: Sequence[Result],
    name: str,
    path: str,
    rounds: int,
    block_s: float,
) -> None:
    lengths = []
    for worker, result in zip(workers, results, strict=True):
        worker.ask(do="load", path=path)
        # On real images windows tie, and frameworks differ in which winner gets the gradient.
        if name == NOISE and not worker.job.workload.infer:
            result.costs[name] = first_costs(worker)
        worker.ask(do="reset")
        lengths.append(block_steps(worker, block_s))
        result.times[name] = []
    for turn in range(rounds):
        order = range(len(workers)) if turn % 2 else reversed(range(len(workers)))
        for k in order:
            workers[k].ask(do="reset")
            seconds = workers[k].ask(do="run", steps=lengths[k])["seconds"]
            results[k].times[name].append(seconds / lengths[k])
