"""`tinygrad-mnist expand`: write a larger training set, by shifts or by random distortions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tinygrad_mnist.cli.arguments import data_name, positive, seed
from tinygrad_mnist.datasets import (
    EXPANDED_PLACE,
    DatasetError,
    Pair,
    expand_augmented,
    expand_mnist,
    load_data,
    save_idx,
    save_splits,
)
from tinygrad_mnist.files import check_writable

#: What --augment does if nothing else is said: digits stay readable.
AMOUNTS = {"rotation": 10.0, "translation": 1.0, "skew": 0.1, "scale": 0.1, "elastic": (34.0, 4.0)}
_SUFFIXES = {"pickle": ".pkl.gz", "npz": ".npz", "idx": ""}
_TIMES = 5


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "expand",
        help="write a training set of five times the images, by shifts or random distortions",
        description="Write MNIST with a larger training part, in shuffled order. The file appears"
        " only once it is complete.",
    )
    parser.add_argument(
        "--out", metavar="PATH", help=f"default: {EXPANDED_PLACE}, with the format's ending"
    )
    parser.add_argument(
        "--format",
        choices=tuple(_SUFFIXES),
        default="pickle",
        help="pickle: the book's mnist_expanded.pkl.gz, for Python 2 and 3; npz: smaller, and read"
        " faster; idx: a folder of gzipped IDX files; default: %(default)s",
    )
    parser.add_argument(
        "--data",
        type=data_name,
        metavar="PATH",
        help="the data to expand, as in `train`; default: MNIST",
    )
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--shifts",
        action="store_true",
        help="add each image moved by one pixel in four directions, as the book does; the default",
    )
    kinds.add_argument("--augment", action="store_true", help="add images distorted at random")
    parser.add_argument(
        "--count",
        type=positive,
        help="images of the training part; default: five times as many as there are",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="seed of order and distortions; default: %(default)s"
    )
    amounts = parser.add_argument_group("how much --augment distorts")
    for name, unit in (
        ("rotation", "degrees"),
        ("translation", "pixels"),
        ("skew", "pixels per row"),
        ("scale", "part of the size"),
    ):
        text = f"up to so many {unit}, either way; default: {AMOUNTS[name]}"
        amounts.add_argument(f"--{name}", type=float, metavar="A", help=text)
    amounts.add_argument(
        "--elastic",
        type=float,
        nargs=2,
        metavar=("ALPHA", "SIGMA"),
        help="strength and smoothness in pixels of an elastic distortion; default: 34 4",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the data. Returns the exit code."""
    given = {name: getattr(options, name) for name in AMOUNTS if getattr(options, name) is not None}
    if given and not options.augment:
        raise ValueError(f"--{next(iter(given))} goes with --augment")
    path = _path(options)
    path.parent.mkdir(parents=True, exist_ok=True)
    if options.format != "idx":
        check_writable(path)
    splits = load_data(options.data)
    n = len(splits.training.labels)
    count = options.count or _TIMES * n
    if not n <= count <= (count if options.augment else _TIMES * n):
        most = "" if options.augment else f" to {_TIMES * n:,}"
        raise ValueError(f"--count is {count:,}; from {n:,} images{most} can be made")
    print(f"tinygrad-mnist: {count:,} training images of {n:,}", file=sys.stderr, flush=True)
    if options.augment:
        training = expand_augmented(splits.training, count, options.seed, **{**AMOUNTS, **given})
    else:
        whole = expand_mnist(splits.training, options.seed)
        training = Pair(whole.images[:count], whole.labels[:count])
    save = save_idx if options.format == "idx" else save_splits
    save(path, splits._replace(training=training))
    parts = f"{count:,} training, {len(splits.validation.labels):,} validation and"
    print(f"{path}: {parts} {len(splits.test.labels):,} test images, {_megabytes(path)} MB")
    return 0


def _path(options: argparse.Namespace) -> Path:
    suffix = _SUFFIXES[options.format]
    if options.out is None:
        return Path(EXPANDED_PLACE.removesuffix(_SUFFIXES["pickle"]) + suffix)
    path = Path(options.out)
    if not path.name.endswith(suffix):
        raise DatasetError(f"{path}: the name of a file of this format must end in {suffix}")
    return path


def _megabytes(path: Path) -> str:
    files = path.iterdir() if path.is_dir() else [path]
    return f"{sum(file.stat().st_size for file in files) / 1e6:.1f}"
