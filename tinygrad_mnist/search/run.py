"""`search`: the objective for every point, by any executor, with each result on disk at once."""

from __future__ import annotations

import copy
import functools
import inspect
import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tinygrad_mnist.backends import GPUS, backend
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import choice, integer, shown
from tinygrad_mnist.search.journal import Journal, Row, rows_in
from tinygrad_mnist.search.processes import Processes
from tinygrad_mnist.search.results import MODES, Results, Run
from tinygrad_mnist.search.space import Settings, grid, key_of, listed, ranges, sample
from tinygrad_mnist.search.worker import Outcome, Task, processors, run_task

Objective = Callable[..., Any]
Space = Mapping[str, Any] | Sequence[Mapping[str, Any]]
# Settings of `config` that change results, so that every process has the caller's.
_FLAGS = ("floatX", "device", "allow_tf32")


class SearchError(RuntimeError):
    """The executor can't run the objective; the message says why, and what to do."""


def search(
    objective: Objective,
    space: Space,
    executor: Executor | None = None,
    jobs: int | None = None,
    *,
    runs: int | None = None,
    seed: int = 0,
    metric: str | None = None,
    mode: str = "auto",
    file: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    retries: int = 1,
    progress: bool | Callable[[Run], None] | None = None,
) -> Results:
    """Calls the objective with different settings; returns the results, the best first.

    objective: a function with a parameter for each setting. It returns a number, a dict of numbers,
        or a History, of which the last epoch counts. `numpy.random` and `random` are seeded before
        each call; a parameter `seed` gets the seed, if it is no setting.
    space: the values of each setting by its name: a range of `search.space`, a list, or one value.
        Or a list of settings, each a dict of a value by name, which are computed in this order.
    executor: any `concurrent.futures.Executor`, such as that of `dask.distributed.Client`; by
        default `jobs` new processes on this machine (`Processes`). It isn't shut down.
    jobs: how many runs are computed at once on a machine; by default one per processor, or one on a
        GPU. Each gets as many threads as there are processors for it. With an executor, this sets
        the threads alone; by default, the processes of `Processes` and `ProcessPoolExecutor` share
        the processors, and a worker of dask uses the threads that it was started with.
    runs: how many random settings to try; by default all combinations, in a grid.
    seed: of the random settings and of each run. The same settings and seed give the same bits with
        any executor and any number of jobs.
    metric: which of the numbers is the score; by default the first of score, val_accuracy,
        val_loss, accuracy and loss that is there.
    mode: 'max' or 'min' of it is best; 'auto': 'min' if its name has 'loss' or 'error' in it.
    file: where each finished run becomes a line of JSON at once. If it has runs of these settings
        and this seed, they are taken from there; those that failed are computed again.
    threads: of a run, in place of its share of the processors.
    retries: how often a run is tried again after its worker was lost.
    progress: whether a line for each run goes to standard error; by default if it is a terminal. Or
        a function that is given each run when it has ended.

    A run that raises an exception has it as its `error`, and the others go on. Ctrl-C ends the
    processes; the runs that were finished are in the file, and `done_before(error)` returns them.

    Raises GraphTypeError and ArgumentError for wrong arguments, also for a setting that the
    objective has no parameter for; SearchError where the executor can't run the objective.
    """
    search = _Search(objective, seed, metric, choice(mode, MODES, "mode"), progress)
    points = _points(space, runs, search.seed)
    _check_parameters(objective, points[0])
    retries = integer(retries, "retries", 0)
    threads = None if threads is None else integer(threads, "threads", 1)
    if jobs is not None:
        jobs = integer(jobs, "jobs", 1)
    with ExitStack() as stack:
        if file is not None:
            search.journal = Journal(file, search.name)
            stack.callback(search.journal.close)
        waiting = search.start(points, search.journal.rows if search.journal is not None else [])
        if executor is None and waiting:
            usual = 1 if backend(config.device).name in GPUS else processors()
            jobs = min(jobs or usual, len(waiting))
            _check_is_importable(objective)
            executor = stack.enter_context(_own(jobs))
        if executor is not None:
            jobs = jobs or _processes_of(executor)
            tasks = [search.task(run.settings, threads, jobs) for run in waiting]
            search.run(executor, waiting, tasks, retries)
    return search.results()


def finished(
    objective: Objective, space: Space, file: str | os.PathLike[str], seed: int = 0
) -> list[Run]:
    """The runs of a search that its file has already, as `search` would take them from there."""
    search = _Search(objective, seed, None, "auto", False)
    search.start(_points(space, None, seed), rows_in(file, search.name))
    return search.runs


def done_before(error: BaseException) -> Results | None:
    """The finished runs of the search that `error` ended, such as Ctrl-C; None for others."""
    return error.__dict__.get("search_results")


@dataclass
class _Search:
    """The state of a search: its runs, and what finished ones need."""

    objective: Objective
    seed: int
    metric: str | None
    mode: str
    progress: bool | Callable[[Run], None] | None
    journal: Journal | None = None
    runs: list[Run] = field(default_factory=list)
    n_points: int = 0

    def __post_init__(self) -> None:
        if not callable(self.objective):
            raise GraphTypeError(
                f"objective is {shown(self.objective)}; it must be a function of the settings"
            )
        self.seed = integer(self.seed, "seed", 0)
        if self.seed >= 2**32:
            raise ArgumentError(f"seed is {self.seed}; it must be below 2**32")
        self.name = _name(self.objective)
        if self.progress is None:
            self.progress = sys.stderr is not None and sys.stderr.isatty()

    def start(self, points: Sequence[Settings], before: Sequence[Row]) -> list[Run]:
        """Takes over the rows that a file has; returns the runs that are to be computed."""
        self.n_points = len(points)
        known = {
            (key_of(row["settings"]), row["seed"]): row for row in before if row["error"] is None
        }
        waiting = []
        for number, settings in enumerate(points):
            row = known.get((key_of(settings), self.seed))
            if row is None:
                waiting.append(Run(number, settings, self.seed))
            else:
                values = row["values"]
                self._add(Run(number, settings, self.seed, values, seconds=row["seconds"]))
        return waiting

    def task(self, settings: Settings, threads: int | None, jobs: int | None) -> Task:
        arguments = copy.deepcopy(settings)  # which an objective may change
        if "seed" not in settings and "seed" in _parameters(self.objective):
            arguments["seed"] = self.seed
        flags = {name: getattr(config, name) for name in _FLAGS}
        return Task(self.objective, arguments, self.seed, flags, threads, jobs)

    def run(
        self, executor: Executor, runs: Sequence[Run], tasks: Sequence[Task], retries: int
    ) -> None:
        """Has all tasks computed, and each again whose worker was lost."""
        left = dict.fromkeys(range(len(runs)), retries)
        pending: dict[Future[Outcome], int] = {}
        try:
            for i, task in enumerate(tasks):
                pending[_submit(executor, task)] = i
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    i = pending.pop(future)
                    outcome = _outcome(future)
                    if outcome.error is not None and outcome.trace is None and left[i]:
                        left[i] -= 1
                        pending[_submit(executor, tasks[i])] = i
                    else:
                        self.finish(runs[i], outcome)
        except BaseException as error:
            for future in pending:
                future.cancel()
            error.__dict__["search_results"] = self.results()
            raise

    def finish(self, run: Run, outcome: Outcome) -> None:
        """Notes the outcome, on disk too."""
        run.values, run.seconds = dict(outcome.values), outcome.seconds
        run.error, run.trace = outcome.error, outcome.trace
        if self.journal is not None:
            self.journal.append(run.row())
        self._add(run)
        if callable(self.progress):
            self.progress(run)
        elif self.progress:
            print(f"{len(self.runs)}/{self.n_points}  {run.line()}", file=sys.stderr, flush=True)

    def _add(self, run: Run) -> None:
        self.runs.append(run)
        if run.error is None and self.metric is not None and self.metric not in run.values:
            raise ArgumentError(
                f"metric is {self.metric!r}; the objective returned {', '.join(run.values)}"
            )

    def results(self) -> Results:
        return Results(self.runs, self.metric, self.mode)


def _name(objective: Any) -> str:
    """What a file knows an objective by: its module, unless it is the program, and its name."""
    while isinstance(objective, functools.partial):
        objective = objective.func
    of = objective if hasattr(objective, "__qualname__") else type(objective)
    return of.__qualname__ if of.__module__ == "__main__" else f"{of.__module__}.{of.__qualname__}"


def _points(space: Space, runs: int | None, seed: int) -> list[Settings]:
    if isinstance(space, list | tuple):
        if runs is not None:
            raise ArgumentError("space is a list of settings, so `runs` has no meaning")
        return listed(space)
    of = ranges(space)
    return grid(of) if runs is None else sample(of, integer(runs, "runs", 1), seed)


def _parameters(objective: Objective) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(objective).parameters
    except (TypeError, ValueError):  # of a function in C, which the call itself checks
        return {}


def _check_parameters(objective: Objective, settings: Settings) -> None:
    """Raises ArgumentError for settings that the objective doesn't take, or parameters without."""
    parameters = _parameters(objective)
    if not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = {name for name, parameter in parameters.items() if parameter.kind in kinds}
    for name in settings:
        if name not in named:
            raise ArgumentError(
                f"the objective has no parameter for the setting {name!r}; it has"
                f" {', '.join(n for n in parameters if n in named)}"
            )
    for name in parameters:
        is_missing = name in named and name not in settings and name != "seed"
        if is_missing and parameters[name].default is inspect.Parameter.empty:
            raise ArgumentError(
                f"the space has no setting for the objective's parameter {name!r}; it has"
                f" {', '.join(settings)}"
            )


def _check_is_importable(objective: Objective) -> None:
    """Raises SearchError for a function that a new process can't import."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    hint = (
        "put it at the top level of a file, or give an executor that runs it in this process:"
        " executor=concurrent.futures.ThreadPoolExecutor(1)"
    )
    if getattr(objective, "__module__", None) == "__main__" and not (
        getattr(main, "__spec__", None) is not None or (file and os.path.exists(file))
    ):
        raise SearchError(
            "the objective was defined at Python's prompt or in a notebook, where worker processes"
            f" can't import it; {hint}"
        )
    try:
        pickle.dumps(objective)
    except Exception as error:
        name = getattr(objective, "__qualname__", shown(objective))
        what = "a lambda" if name.endswith("<lambda>") else "defined inside a function"
        why = what if "<" in name else f"no function that can be pickled ({error})"
        raise SearchError(
            f"the objective {name} is {why}, so worker processes can't import it; {hint}"
        ) from None


class _own:  # noqa: N801
    """Processes that are killed if the search ends by an exception."""

    def __init__(self, jobs: int) -> None:
        self.executor = Processes(jobs)

    def __enter__(self) -> Processes:
        return self.executor

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            self.executor.shutdown()
        else:
            self.executor.kill()


def _processes_of(executor: Executor) -> int | None:
    """How many processes of this machine an executor has; None for other executors."""
    if isinstance(executor, Processes):
        return executor.jobs
    if isinstance(executor, ProcessPoolExecutor):
        return executor._max_workers  # type: ignore[attr-defined,no-any-return]
    return None


def _submit(executor: Executor, task: Task) -> Future[Outcome]:
    try:
        return executor.submit(run_task, task)
    except BrokenExecutor as error:
        raise SearchError(
            f"the executor takes no more runs ({error}); without `executor`, a process that ends"
            " loses its own run alone"
        ) from error


def _outcome(future: Future[Outcome]) -> Outcome:
    """The outcome of a run; where its worker was lost, one with an error and no trace."""
    try:
        return future.result()
    except (pickle.PickleError, AttributeError, ImportError, TypeError) as error:
        raise SearchError(
            f"the executor can't send the objective to a worker ({type(error).__name__}: {error});"
            " define it at the top level of a file that the workers can import"
        ) from error
    except Exception as error:  # of the executor: run_task raises none
        return Outcome(error=f"the run was lost: {error or type(error).__name__}")
