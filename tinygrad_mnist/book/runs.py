"""All runs of some experiments: how long they will take, and having them computed side by side."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_mnist.book.experiments import (
    EXPANDED,
    EXPERIMENTS,
    MINI_BATCH_SIZE,
    VOTE,
    VOTE_OF,
    VOTERS,
    Experiment,
)
from tinygrad_mnist.book.train import checkpoint_of, train
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import integer, shown
from tinygrad_mnist.network3 import Network, share_data
from tinygrad_mnist.search import Results, Run, finished, search

_IMAGES = {EXPANDED: 250_000}
_PLAIN_IMAGES = 50_000
_TIMED_STEPS = 40
_VALIDATION_COST = 0.35  # of a step's time, for a batch that is only evaluated
JOURNAL = "runs.jsonl"


@dataclass(frozen=True)
class Plan:
    """Which experiments are run, how often and how long.

    names: of experiments, or VOTE, which needs VOTERS networks of VOTE_OF. runs: of each, with the
    seeds 1, 2, ... epochs: of each run; None: the book's. folder: of results and networks. data: as
    for `load_data`. early_stopping: as in SGD.

    Raises ArgumentError for an unknown name, and other errors for numbers that are none.
    """

    names: tuple[str, ...] = (*EXPERIMENTS, VOTE)
    runs: int = 3
    epochs: int | None = None
    folder: str = "runs/book"
    data: str | None = None
    early_stopping: int | None = None

    def __post_init__(self) -> None:
        for name in self.names:
            if name != VOTE and name not in EXPERIMENTS:
                known = ", ".join((*EXPERIMENTS, VOTE))
                raise ArgumentError(f"there is no experiment {shown(name)}; there are {known}")
        integer(self.runs, "runs", 1)
        for name in ("epochs", "early_stopping"):
            if getattr(self, name) is not None:
                integer(getattr(self, name), name, 1)

    def experiments(self) -> Iterator[tuple[Experiment, int, int]]:
        """Each experiment with its number of runs and of epochs, in the book's order."""
        for name, experiment in EXPERIMENTS.items():
            runs = self.runs if name in self.names else 0
            if name == VOTE_OF and VOTE in self.names:
                runs = max(runs, VOTERS)
            if runs:
                yield experiment, runs, self.epochs or experiment.epochs

    def settings(self) -> list[dict[str, Any]]:
        """Those of each run, as `train` takes them."""
        return [
            {
                "experiment": experiment.name,
                "seed": seed,
                "epochs": epochs,
                "folder": self.folder,
                "data": self.data,
                "early_stopping": self.early_stopping,
            }
            for experiment, runs, epochs in self.experiments()
            for seed in range(1, runs + 1)
        ]

    @property
    def journal(self) -> Path:
        """The file in the folder that has the finished runs."""
        return Path(self.folder, JOURNAL)


def finished_runs(plan: Plan) -> list[Run]:
    """Those of the plan's runs that the folder has already."""
    return finished(train, plan.settings(), plan.journal)


def estimate(plan: Plan, names: Collection[str] | None = None) -> dict[str, float]:
    """Seconds that each run of an experiment, of all or of some names, will take on all threads of
    this process, by the time of its first steps on images of noise."""
    wanted = [(e, n) for e, _, n in plan.experiments() if names is None or e.name in names]
    return {experiment.name: _seconds_of(experiment, epochs) for experiment, epochs in wanted}


def _seconds_of(experiment: Experiment, epochs: int) -> float:
    rng = np.random.default_rng(0)
    n = _TIMED_STEPS * MINI_BATCH_SIZE
    images, labels = rng.random((n, 784), np.float32), rng.integers(0, 10, n)
    ((x, y),) = share_data([(images, labels)])
    net = Network(experiment.layers(), MINI_BATCH_SIZE, 1)
    step = net.training_function((x, y), experiment.eta, experiment.lmbda)
    step.sweep(range(2))
    begin = time.perf_counter()
    step.sweep(range(_TIMED_STEPS))
    seconds = (time.perf_counter() - begin) / _TIMED_STEPS
    steps = _IMAGES.get(experiment.data, _PLAIN_IMAGES) // MINI_BATCH_SIZE
    validation = _VALIDATION_COST * 10_000 // MINI_BATCH_SIZE
    return epochs * (steps + validation) * seconds


def run_all(
    plan: Plan,
    executor: Executor | None = None,
    jobs: int | None = None,
    progress: bool | Callable[[Run], None] = False,
    threads: int | None = None,
) -> Results:
    """Has the runs computed, those that are not in the folder yet, and returns all of them.

    executor, jobs, progress, threads: as for `search`. An executor on other machines needs the
    folder and the data under the same names there. A finished run is on disk at once; one that was
    stopped goes on from its checkpoint.
    """
    os.makedirs(plan.folder, exist_ok=True)
    results = search(
        train,
        plan.settings(),
        executor,
        jobs,
        metric="validation",
        mode="max",
        file=plan.journal,
        threads=threads,
        progress=progress,
    )
    for run in results:
        if run.error is None:  # only now, since a run counts when its line is on disk
            checkpoint_of(**run.settings).unlink(missing_ok=True)
    return results


def running(folder: str | os.PathLike[str]) -> list[tuple[str, dict[str, Any]]]:
    """How far the unfinished runs in a folder are: by name, epoch, of, validation, seconds."""
    found = []
    for path in sorted(Path(folder).glob("*.progress")):
        try:
            found.append((path.stem, json.loads(path.read_text())))
        except (OSError, ValueError):  # it has just ended
            continue
    return found
