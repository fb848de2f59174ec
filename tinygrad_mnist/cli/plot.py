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
        " CSVLogger; a checkpoint; or a saved network of network3.",
    )
    parser.add_argument("run", metavar="RUN", help=".csv, or a network or checkpoint")
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
    record: Any = options.run if options.run.endswith(".csv") else curves_in(options.run)
    what = options.what or (ERRORS if record is None else CURVES)
    if what == CURVES and record is None:
        raise UsageError(f"{options.run} has no curves; --what can be {FILTERS}, {ERRORS}")
    if what != CURVES and options.run.endswith(".csv"):
        raise UsageError(f"{options.run} has only curves")
    output = options.output or str(Path(options.run).with_suffix("")) + f"-{what}.png"
    check_writable(checked_path(output))
    if what == CURVES:
        plots.plot_history(record, output)
    elif what == FILTERS:
        plots.plot_filters(Network.load(options.run, OWN), output, n=options.n)
    else:
        _draw_answers(options, what, output)
    say(options, f"drawn: {output}")
    return 0


def _draw_answers(options: argparse.Namespace, what: str, output: str) -> None:
    splits, _ = load(options)
    found = Network.load(options.run, OWN).evaluate(splits.test)
    if what == ERRORS:
        plots.plot_errors(found, splits.test.images, output, n=options.n)
    else:
        plots.plot_confusion_matrix(found.labels, found.predictions, output)
    say(options, repr(found))
