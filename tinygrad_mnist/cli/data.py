"""The data set that a command works on."""

from __future__ import annotations

import argparse
import sys

from tinygrad_mnist.cli.arguments import data_name
from tinygrad_mnist.datasets import (
    BOOK_PLACE,
    DIGITS,
    DOWNLOAD,
    FASHION,
    DatasetNotFoundError,
    Splits,
    expand_mnist,
    load_data,
)

MNIST = "mnist"


def add_data(parser: argparse.ArgumentParser, *names: str) -> None:
    """The argument that names the data set, `options.data`."""
    parser.add_argument(
        *names,
        dest="data",
        type=data_name,
        metavar="PATH",
        help="a file or folder in any of MNIST's layouts (IDX, mnist.npz, mnist.pkl.gz, CSV);"
        f" or a name: {MNIST}, {FASHION}, or {DIGITS} for generated digits; default: the usual"
        f" places, then a download, then {DIGITS} if there is no network",
    )


def load(options: argparse.Namespace) -> tuple[Splits, str]:
    """The data to train with, and 'generated ' if they are generated."""
    kind = "generated " if options.data == DIGITS else ""
    try:
        splits = load_data(options.data)
    except DatasetNotFoundError as error:
        if options.data is not None or not error.nowhere:
            raise
        failures = {at.problem for at in error.attempts if at.place.startswith(DOWNLOAD)}
        print(
            f"tinygrad-mnist: MNIST is not in {BOOK_PLACE}, $TINYGRAD_MNIST_DATA, ./data/, ./ or"
            f" the cache, and can't be downloaded ({'; '.join(sorted(failures))}): this run"
            " uses generated digits instead",
            file=sys.stderr,
            flush=True,
        )
        splits, kind = load_data(DIGITS), "generated "
    if options.test_data is not None:
        splits = splits._replace(test=load_data(options.test_data).test)
    if options.expand:
        splits = splits._replace(training=expand_mnist(splits.training, options.seed))
    return splits, kind
