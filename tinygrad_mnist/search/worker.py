"""A run of the objective, in whatever process or thread an executor puts it."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_mnist.config import change_flags
from tinygrad_mnist.search.space import Settings

# `config` and the global random generators belong to the process, so a process has one run at a
# time: with threads, runs wait for each other, and each gives the same bits as alone.
_ONE_RUN = threading.Lock()


@dataclass(frozen=True)
class Task:
    """What a worker needs for a run.

    arguments: of the objective. seed: of NumPy's and Python's global generators. flags: settings of
    `config`, which a new process doesn't have. threads: of the run, or None; jobs: how many runs
    share the machine's processors, where `threads` is None. Where both are None, a worker of dask
    takes as many as it was started with; others leave `config.threads`.
    """

    objective: Callable[..., Any]
    arguments: Settings
    seed: int
    flags: Mapping[str, Any]
    threads: int | None = None
    jobs: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run gave: numbers by name, or an error and where it happened."""

    values: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    trace: str | None = None


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_task(task: Task) -> Outcome:
    """Calls the objective; an exception that it raises becomes part of the outcome."""
    with _ONE_RUN, _settings_of(task):
        start = time.perf_counter()
        try:
            values = numbers_of(task.objective(**task.arguments))
        except (Exception, SystemExit) as error:
            seconds = time.perf_counter() - start
            return Outcome({}, seconds, _described(error), traceback.format_exc())
        return Outcome(values, time.perf_counter() - start)


@contextmanager
def _settings_of(task: Task) -> Iterator[None]:
    """The task's flags, threads and seed; all are as before afterwards."""
    flags = dict(task.flags)
    threads = task.threads
    if threads is None:
        threads = max(1, processors() // task.jobs) if task.jobs is not None else _of_dask()
    if threads is not None:
        flags["threads"] = threads
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        np.random.seed(task.seed)  # noqa: NPY002
        random.seed(task.seed)
        with change_flags(flags):
            yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


def _of_dask() -> int | None:
    """The threads of the worker of dask that this is; a machine's workers share its processors."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return int(distributed.get_worker().state.nthreads)
    except ValueError:  # it is none
        return None


def numbers_of(result: Any) -> dict[str, float]:
    """The numbers that an objective returned: under 'score' a single one; those of a dict; the last
    epoch's of a History.

    Raises TypeError for anything else.
    """
    history = getattr(result, "history", result)
    if isinstance(history, Mapping):
        if not history:
            raise TypeError("the objective returned no numbers: the dict or History is empty")
        return {str(name): _number(value, f"{name!r}: ") for name, value in history.items()}
    return {"score": _number(result, "")}


def _number(value: Any, name: str) -> float:
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(
            f"the objective returned {name}{value!r:.60}; it must return a number, a dict of"
            " numbers, or a History"
        )
    return float(value)


def _described(error: BaseException) -> str:
    """The error in a line, with the innermost line of the program that isn't this package's."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    package = os.path.dirname(os.path.dirname(__file__)) + os.sep
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(package)
    ]
    if not frames:
        return text
    return f"{text} ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})"
