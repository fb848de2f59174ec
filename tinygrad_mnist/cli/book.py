"""`tinygrad-mnist book`: runs the experiments of chapter 6 and compares them with the book."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinygrad_mnist.book import EXPERIMENTS, Plan, Row, as_json, as_markdown, estimate, run_all
from tinygrad_mnist.book.experiments import VOTE, VOTE_OF, VOTE_REPORTED, VOTERS
from tinygrad_mnist.book.results import rows_of, vote_row
from tinygrad_mnist.book.runs import finished_runs, running
from tinygrad_mnist.cli.arguments import UsageError, add_device, positive, say
from tinygrad_mnist.cli.data import add_data
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets import load_data
from tinygrad_mnist.files import check_writable, write_whole
from tinygrad_mnist.search import Run
from tinygrad_mnist.search.worker import processors

_WATCH_S = 1.0


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "book",
        help="run the experiments of chapter 6 of the book, and compare their accuracies",
        description="Train the networks of chapter 6 as the book does and print a table of their"
        " test accuracies beside the book's. Finished runs, and checkpoints of unfinished ones, are"
        " kept in a folder: the same command goes on from there.",
    )
    parser.add_argument("--list", action="store_true", help="list the experiments, and end")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run these experiments alone")
    parser.add_argument("--epochs", type=positive, help="of each run; default: the book's")
    parser.add_argument("--runs", type=positive, default=3, help="of each; default: %(default)s")
    parser.add_argument(
        "--jobs", type=positive, help="runs at the same time; default: one per processor"
    )
    parser.add_argument(
        "--early-stopping",
        type=positive,
        metavar="N",
        help="end a run after N epochs without a better validation accuracy",
    )
    parser.add_argument(
        "--folder", default="runs/book", help="of results and networks; default: %(default)s"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write the table here, too, whenever a run ends: .md or .json",
    )
    parser.add_argument("--threads", type=positive, help="CPU threads, shared by all jobs")
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="let the workers of this scheduler of dask do the runs, such as tcp://host:8786; they"
        " need the folder and the data under the same names. Needs the extra `cluster`",
    )
    add_device(parser)
    add_data(parser, "--data")
    parser.add_argument("--quiet", action="store_true", help="print only the table")


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    if options.list:
        print(_listed())
        return 0
    if options.output is not None and options.output.suffix not in (".md", ".json"):
        raise UsageError(f"--output {options.output}: its name must end in .md or .json")
    config.device = options.device
    if options.threads is not None:
        config.threads = options.threads
    names = tuple(dict.fromkeys(options.only or (*EXPERIMENTS, VOTE)))
    folder = options.folder if options.cluster is None else os.path.abspath(options.folder)
    plan = Plan(names, options.runs, options.epochs, folder, options.data, options.early_stopping)
    _check_places(plan, options)
    with _executor(options.cluster) as executor:
        jobs = options.jobs or (1 if config.device in ("cuda", "cudasim") else processors())
        done = finished_runs(plan)
        if not options.quiet:
            say(options, _forecast(plan, done, None if executor is not None else jobs))
        table = _Table(plan, options, done)
        if done:
            table.write()
        with _watched(plan.folder, options.quiet):
            shared = None if executor is not None else jobs
            threads = None if options.threads is None else max(1, options.threads // jobs)
            table.runs = list(run_all(plan, executor, shared, table.add, threads))
    for failed in (run for run in table.runs if run.error is not None):
        print(f"tinygrad-mnist: {failed.settings['experiment']}: {failed.error}", file=sys.stderr)
    rows = table.rows(with_vote=True)
    table.write(rows)
    print(as_markdown(rows), end="")
    return 0 if len(rows) == len(names) else 1


class _Table:
    """The table of the runs so far, which --output has after each of them."""

    def __init__(self, plan: Plan, options: argparse.Namespace, runs: list[Run]) -> None:
        self.plan = plan
        self.options = options
        self.runs = runs

    def add(self, run: Run) -> None:
        """Takes a run that has just ended."""
        if not self.options.quiet:
            _say_ended(run)
        self.runs.append(run)
        self.write()

    def rows(self, with_vote: bool = False) -> list[Row]:
        """Those of the experiments that were asked for; that of the vote takes seconds."""
        names, runs = self.plan.names, self.plan.runs
        rows = rows_of(
            [
                run
                for run in self.runs
                if run.settings["experiment"] in names and run.settings["seed"] <= runs
            ]
        )
        if with_vote and VOTE in names:
            vote = vote_row(self.runs, self.plan.folder, load_data(self.plan.data).test)
            rows += [] if vote is None else [vote]
        return rows

    def write(self, rows: Sequence[Row] | None = None) -> None:
        path: Path | None = self.options.output
        if path is None:
            return
        rows = self.rows() if rows is None else rows
        text = as_markdown(rows) if path.suffix == ".md" else as_json(rows)
        write_whole(path, text.encode())


def _check_places(plan: Plan, options: argparse.Namespace) -> None:
    """Raises OSError and what reading the data raises, before anything is run."""
    load_data(plan.data)
    os.makedirs(plan.folder, exist_ok=True)
    if options.output is not None:
        check_writable(options.output)


@contextmanager
def _executor(cluster: str | None) -> Iterator[Executor | None]:
    """That of a cluster. Raises ImportError without the extra, OSError if there is no scheduler."""
    if cluster is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("--cluster needs dask: pip install 'tinygrad_mnist[cluster]'") from None
    with Client(cluster) as client:  # type: ignore[no-untyped-call]
        yield client.get_executor()


def _say_ended(run: Run) -> None:
    """Prints the line of a run that has just ended."""
    figures = run.error or "validation {validation:.2f} %, test {test:.2f} %".format(**run.values)
    name = "{experiment}, seed {seed}".format(**run.settings)
    print(f"{name}: {figures}, {_time(run.seconds)}", file=sys.stderr, flush=True)


def _listed() -> str:
    lines = []
    for name, e in EXPERIMENTS.items():
        reported = "" if e.reported is None else f"{e.reported:.2f} %"
        lines.append(f"{name:<14} {reported:>8}  {e.epochs:>3} epochs, {e.data}: {e.summary}")
    vote = f"{VOTERS} networks of {VOTE_OF}"
    lines.append(f"{VOTE:<14} {VOTE_REPORTED:.2f} %              vote of {vote}")
    return "\n".join(lines)


def _forecast(plan: Plan, done: Sequence[Run], jobs: int | None) -> str:
    """What is left to run, and how long that takes on this machine. jobs: at the same time; None:
    on a cluster."""
    counts = Counter(run.settings["experiment"] for run in done)
    left = {e.name: n - counts[e.name] for e, n, _ in plan.experiments() if n > counts[e.name]}
    if not left:
        n = len(done)
        return "the run has been done" if n == 1 else f"all {n} runs have been done"
    seconds = estimate(plan, list(left))
    total = sum(seconds[name] * n for name, n in left.items())
    each = ", ".join(f"{name} {n} x {_time(seconds[name])}" for name, n in left.items())
    at_once = "one at a time" if jobs == 1 else f"{jobs} at the same time"
    if jobs is None:
        at_once = "on the cluster; on this machine"
    count = sum(left.values())
    what = f"{'more ' if done else ''}{'run' if count == 1 else 'runs'}"
    return (
        f"{count} {what}, {at_once}: {'' if total < 1 else 'about '}{_time(total)} in all ({each})"
    )


def _time(seconds: float) -> str:
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def _watched(folder: str, quiet: bool) -> Iterator[None]:
    """Shows how far each unfinished run is, while standard error is a terminal."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live

    ended = threading.Event()
    with Live(console=Console(stderr=True), transient=True, redirect_stdout=False) as live:

        def watch() -> None:
            while not ended.wait(_WATCH_S):
                live.update("\n".join(_line(name, state) for name, state in running(folder)))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _line(name: str, state: dict[str, Any]) -> str:
    left = state["seconds"] / state["epoch"] * (state["of"] - state["epoch"])
    return (
        f"{name}: epoch {state['epoch']} of {state['of']}, validation {state['validation']:.2f} %,"
        f" {_time(left)} left"
    )
