"""Interleaved timing: workers take turns, block by block, so that ratios are of neighbours.

A worker that is not timed is stopped (SIGSTOP): no framework's idle threads spin in another's time.
On a GPU all of a workload's workers start at the same time, since most of that is compiling, and
each block begins with steps that are not timed, so that the clocks are up.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NoReturn

from benchmarks.job import FRAMEWORKS, Job

COMPARED = 10  # first costs, or logits of the first image, that all frameworks must agree on
TOLERANCE = 2e-3  # relative, float32 and different orders of summation over some steps
NOISE = "noise"  # the data set without ties
PATIENCE_S = 240.0  # how long a worker may take for an answer
LEAST_ROUNDS = 5
ROUNDS_S = 60.0  # for all rounds of a data set, unless LEAST_ROUNDS of them take longer
WARM_UP = 0.25  # of a block, in steps before it on a GPU


class WorkerError(RuntimeError):
    """A worker that ended or answered with an error."""


def missing(frameworks: Sequence[str]) -> list[str]:
    """Those that are not installed."""
    return [f for f in frameworks if importlib.util.find_spec(FRAMEWORKS[f][1]) is None]


def environment(job: Job, folder: str | None) -> dict[str, str]:
    """The process's variables: threads for all libraries, and what each framework is best with.

    folder: where compiled code may be kept, in place of the user's caches; an empty one makes for
    cold starts.
    """
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": job.device}
    if folder is not None:
        for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TINYGRAD_MNIST_CUDA_CACHE"):
            variables[name] = os.path.join(folder, name.lower())
        variables["PYTENSOR_FLAGS"] = f"base_compiledir={folder}"
    if job.device == "cuda":
        variables.pop("TINYGRAD_MNIST_GPU", None)  # all run on the first that is visible
        variables["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # others need memory too
        variables["TORCHINDUCTOR_COMPILE_THREADS"] = "4"
        return variables
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    variables |= dict.fromkeys(names, str(job.threads))
    if job.framework == "pytorch":  # freed memory stays: page faults would cost more than kernels
        variables["MALLOC_MMAP_THRESHOLD_"] = variables["MALLOC_TRIM_THRESHOLD_"] = str(1 << 30)
    return variables


def pinning(job: Job) -> Callable[[], None] | None:
    """What a job's process does first: on a processor, it keeps to one core per thread."""
    if job.device != "cpu":
        return None
    processors = sorted(os.sched_getaffinity(0))[: job.threads]
    return lambda: os.sched_setaffinity(0, processors)


class Worker:
    """A process that runs a job's steps. It is stopped whenever it is not asked for anything.

    cold: it finds no code that was compiled earlier; so it always is on a GPU.
    """

    def __init__(self, job: Job, cold: bool = False) -> None:
        self.job = job
        self._folder = tempfile.TemporaryDirectory()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", job.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(job, self._folder.name if cold or job.device == "cuda" else None),
            preexec_fn=pinning(job),
            process_group=0,  # its compilers' processes are stopped and ended with it
        )
        try:
            self.facts = self._answer()
        except BaseException:
            self.close()
            raise
        self._signal(signal.SIGSTOP)

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to one request. Raises WorkerError."""
        self._signal(signal.SIGCONT)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail(f"it ended{self._end()}")
        answer = self._answer()
        self._signal(signal.SIGSTOP)
        return answer

    def _signal(self, number: int) -> None:
        os.killpg(self._process.pid, number)

    def _answer(self) -> dict[str, Any]:
        channel = self._process.stdout
        assert channel is not None
        if not select.select([channel], [], [], PATIENCE_S)[0]:
            self._fail(f"no answer in {PATIENCE_S:.0f} s")
        line = channel.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": f"it ended{self._end()}"}
        if "error" in answer:
            self._fail(answer["error"])
        return answer

    def _end(self) -> str:
        """The last line that the process wrote on standard error, behind a colon."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _fail(self, message: str) -> NoReturn:
        self.close()
        raise WorkerError(f"{self.job.name}: {message}")

    def close(self) -> None:
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()
            self._errors.close()
            self._folder.cleanup()


@dataclass
class Result:
    """What was measured of one job: seconds of a step, by data and block, and the start's costs."""

    job: Job
    facts: dict[str, Any]
    first_s: float = 0.0
    memory: int = 0
    times: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def first_costs(worker: Worker) -> list[float]:
    """The costs of the first steps from the initial weights, or the first logits."""
    worker.ask(do="reset")
    costs: list[float] = []
    while len(costs) < COMPARED:
        costs += worker.ask(do="run", steps=worker.facts["quantum"])["costs"]
    return costs[:COMPARED]


def block_steps(worker: Worker, seconds: float) -> tuple[int, float]:
    """Steps that take about so long, in the worker's quanta, and how long they take."""
    quantum = worker.facts["quantum"]
    worker.ask(do="run", steps=quantum)
    quanta = 1
    while True:
        took: float = worker.ask(do="run", steps=quanta * quantum)["seconds"]
        if took > seconds / 4:
            wanted = max(1, round(quanta * seconds / took))
            return wanted * quantum, took * wanted / quanta
        quanta *= 4


def turns(rounds: int, round_s: float) -> int:
    """How many rounds are played that take so long each: fewer where steps are slow."""
    return min(rounds, max(LEAST_ROUNDS, int(ROUNDS_S / round_s)))


@dataclass
class Player:
    """A worker in a match, the result that it is getting, and the steps and time of its blocks."""

    worker: Worker
    result: Result
    steps: int = 0
    block_s: float = 0.0

    def load(self, name: str, path: str, is_timed: bool, block_s: float) -> None:
        """Gets ready for a data set."""
        self.worker.ask(do="load", path=path)
        # On real images windows tie, and frameworks differ in which winner gets the gradient.
        if name == NOISE:
            self.result.costs[name] = first_costs(self.worker)
        if is_timed:
            self.worker.ask(do="reset")
            self.steps, self.block_s = block_steps(self.worker, block_s)
            self.result.times[name] = []

    def block(self, name: str) -> None:
        """A block of steps from the initial weights on."""
        worker, quantum = self.worker, self.worker.facts["quantum"]
        worker.ask(do="reset")
        if worker.job.device == "cuda":
            worker.ask(do="run", steps=max(1, round(WARM_UP * self.steps / quantum)) * quantum)
        seconds = worker.ask(do="run", steps=self.steps)["seconds"]
        self.result.times[name].append(seconds / self.steps)

    def end(self) -> None:
        answer = self.worker.ask(do="memory")
        self.result.memory, self.result.details = answer["bytes"], answer["details"]


def play(
    jobs: Sequence[Job],
    data: dict[str, str],
    rounds: int,
    block_s: float,
    say: Any,
    timed: Sequence[str] | None = None,
) -> tuple[list[Result], list[str]]:
    """Runs all jobs of a workload against each other, `rounds` blocks of each on each data set, or
    fewer (see `turns`).

    data: paths of .npz files by name. timed: those that are timed, all where it is None; on noise
    costs are computed in any case. Returns the results, and what went wrong with other jobs.
    """
    problems: list[str] = []
    players: list[Player] = []
    workers: list[Worker] = []

    def begin(job: Job) -> Player:
        say(f"starting {job.name}")
        workers.append(worker := Worker(job))
        worker.ask(do="load", path=next(iter(data.values())))
        seconds = worker.ask(do="run", steps=worker.facts["quantum"])["seconds"]
        # A quantum's other steps are part of what the first call of a loop takes.
        return Player(worker, Result(job, worker.facts, worker.facts["build_s"] + seconds))

    def everybody(act: Callable[..., None], *arguments: Any) -> None:
        """All take their turn; a player that fails is left out."""
        for player in list(players):
            try:
                act(player, *arguments)
            except WorkerError as error:
                problems.append(str(error))
                players.remove(player)

    try:
        together = all(job.device == "cuda" for job in jobs)
        with ThreadPoolExecutor(len(jobs) if together else 1) as pool:
            begun = [pool.submit(begin, job) for job in jobs]
        for future in begun:
            try:
                players.append(future.result())
            except WorkerError as error:
                problems.append(str(error))
        for name, path in data.items():
            is_timed = timed is None or name in timed
            say(f"timing on {name}" if is_timed else f"costs on {name}")
            everybody(Player.load, name, path, is_timed, block_s)
            round_s = sum(player.block_s for player in players)
            for _ in range(turns(rounds, round_s) if is_timed and players else 0):
                players.reverse()
                everybody(Player.block, name)
        everybody(Player.end)
    finally:
        for worker in workers:
            worker.close()
    return sorted((p.result for p in players), key=lambda r: jobs.index(r.job)), problems
