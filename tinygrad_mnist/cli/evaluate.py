"""`tinygrad-mnist evaluate`: how well a model reads the test images."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from tinygrad_mnist.cli.arguments import UsageError, add_device, positive
from tinygrad_mnist.cli.data import add_data, load
from tinygrad_mnist.cli.models import MODEL_HELP, as_usage, check_classes, inputs_for, model_of
from tinygrad_mnist.config import config
from tinygrad_mnist.files import check_writable
from tinygrad_mnist.keras.datasets.loading import keras_form
from tinygrad_mnist.plots import confusion_matrix, plot_confusion_matrix
from tinygrad_mnist.plots.figures import checked_path

_BATCH = 128


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "evaluate",
        help="test a model; the last line on standard output is its accuracy",
        description="Have a model classify the test images. Print for each class how many of them"
        " it reads right, and what it takes the others for; the last line is the accuracy in"
        " percent.",
    )
    parser.add_argument("saved", nargs="?", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--model", metavar="MODEL", help="the same")
    add_data(parser, "--dataset", "--data")
    parser.add_argument("--threads", type=positive, help="CPU threads; default: one per processor")
    add_device(parser)
    parser.add_argument("--quiet", action="store_true", help="print only the last line")
    parser.add_argument(
        "--plot", metavar="PATH", help="draw the confusion matrix; a .png, .svg or .pdf file"
    )
    parser.set_defaults(test_data=None, expand=False)


def run(options: argparse.Namespace) -> int:
    """Prints the table; returns the exit code. Raises UsageError for what doesn't fit."""
    if (options.saved is None) == (options.model is None):
        raise UsageError("evaluate takes one model: a saved one, FILE.py:NAME or a name")
    if options.plot is not None:
        with as_usage("--plot"):
            checked_path(options.plot)
        check_writable(options.plot)
    config.device, config.threads = options.device, options.threads
    name = options.saved or options.model
    model = model_of(name)
    splits, _ = load(options)
    _, (images, labels) = keras_form(splits)
    inputs = inputs_for(model, name, images)
    classes = check_classes(model, name, labels)
    with as_usage(name):
        found = model.predict(inputs, _BATCH, verbose=0).argmax(1)
    if options.plot is not None:
        plot_confusion_matrix(labels, found, options.plot)
    counts = confusion_matrix(labels, found, classes)
    if not options.quiet:
        print("class  images  right     taken for")
        for label, row in enumerate(counts):
            if row.any():
                print(_line(label, row))
    print(f"{100 * np.mean(found == labels):.2f} %")
    return 0


def _line(label: int, row: np.ndarray[Any, Any]) -> str:
    """A class: its images, the share that is right, and the most frequent mistakes."""
    wrong = row.copy()
    wrong[label] = 0
    mistakes = [f"{other} ({wrong[other]})" for other in np.argsort(-wrong, kind="stable")[:3]]
    mistakes = mistakes[: np.count_nonzero(wrong)]
    total = row.sum()
    share = f"{100 * row[label] / total:.2f} %"
    return f"{label:5}  {total:6}  {share:>8}  {', '.join(mistakes)}".rstrip()
