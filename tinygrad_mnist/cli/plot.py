"""`tinygrad-mnist plot`: draws what a run or a network of the book's kind has left in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tinygrad_mnist import plots
from tinygrad_mnist.book.train import OWN
from tinygrad_mnist.cli.arguments import UsageError, positive, say
from tinygrad_mnist.cli.data import add_data, load
from tinygrad_mnist.files import check_writable
from tinygrad_mnist.network3 import Network
from tinygrad_mnist.network3.checkpoint import curves_in
from tinygrad_mnist.plots.figures import checked_path

CURVES, FILTERS, ERRORS, CONFUSION = "curves", "filters", "errors", "confusion"


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "plot",
        help="draw curves, filters or errors of a run or a network in a file",
        description="Draw what RUN has: a CSV file of a run, such as those of `book` and of Keras's"
        " CSVLogger; a checkpoint; or a saved network of network3. The validation accuracies of"
        " several runs are drawn beside each other.",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help=".csv, or a network or checkpoint")
    parser.add_argument(
        "--what",
        choices=(CURVES, FILTERS, ERRORS, CONFUSION),
        help=f"default: {CURVES} where RUN has them, else {ERRORS}",
    )
    parser.add_argument(
        "--output", metavar="PATH", help="a .png, .svg or .pdf file; default: beside RUN, .png"
    )
    parser.add_argument("--n", type=positive, default=60, help="images or filters at most")
    add_data(parser, "--data")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    parser.set_defaults(test_data=None, expand=False, seed=0)


def run(options: argparse.Namespace) -> int:
    """Runs the command. Raises OSError, SavedFileError, UsageError and what drawing raises."""
    if len(options.runs) > 1:
        return _draw_runs(options)
    (run,) = options.runs
    record = _curves(run)
    what = options.what or (ERRORS if record is None else CURVES)
    if what == CURVES and record is None:
        raise UsageError(f"{run} has no curves; --what can be {FILTERS}, {ERRORS}")
    if what != CURVES and run.endswith(".csv"):
        raise UsageError(f"{run} has only curves")
    output = options.output or str(Path(run).with_suffix("")) + f"-{what}.png"
    check_writable(checked_path(output))
    if what == CURVES:
        plots.plot_history(record, output)
    elif what == FILTERS:
        plots.plot_filters(Network.load(run, OWN), output, n=options.n)
    else:
        _draw_answers(options, run, what, output)
    say(options, f"drawn: {output}")
    return 0


def _curves(run: str) -> Any:
    """The record in a file; None where it has no curves."""
    return run if run.endswith(".csv") else curves_in(run)


def _draw_runs(options: argparse.Namespace) -> int:
    if options.what not in (None, CURVES):
        raise UsageError(f"--what {options.what} is of one run; several have {CURVES}")
    if options.output is None:
        raise UsageError("several runs need --output, the picture's file")
    check_writable(checked_path(options.output))
    names = _names([Path(run) for run in options.runs])
    records = {name: _curves(run) for name, run in zip(names, options.runs, strict=True)}
    for run, record in zip(options.runs, records.values(), strict=True):
        if record is None:
            raise UsageError(f"{run} has no curves")
    plots.plot_runs(records, options.output)
    say(options, f"drawn: {options.output}")
    return 0


def _names(paths: list[Path]) -> list[str]:
    """What the picture calls each file: its name without its ending, if that is enough."""
    short = [path.stem for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    if len(set(names)) != len(names):
        raise UsageError("a RUN is there twice")
    return names


def _draw_answers(options: argparse.Namespace, run: str, what: str, output: str) -> None:
    splits, _ = load(options)
    found = Network.load(run, OWN).evaluate(splits.test)
    if what == ERRORS:
        plots.plot_errors(found, splits.test.images, output, n=options.n)
    else:
        plots.plot_confusion_matrix(found.labels, found.predictions, output)
    say(options, repr(found))
