"""The command `tinygrad-mnist`: train a network of the book, profile it, check kernels, show what
is installed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence

import numpy as np

from tinygrad_mnist import _native
from tinygrad_mnist._version import __version__
from tinygrad_mnist.cli import check, compile, devices, expand, profile
from tinygrad_mnist.cli.arguments import add_device, positive, seed
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets import (
    BOOK_PLACE,
    DIGITS,
    DOWNLOAD,
    FASHION,
    SEEN,
    DatasetError,
    DatasetNotFoundError,
    Splits,
    expand_mnist,
    load_data,
    locate,
)
from tinygrad_mnist.errors import DeviceError
from tinygrad_mnist.models import RECIPES, book_net
from tinygrad_mnist.network3 import share_data

#: Epochs without --epochs: a few minutes on two cores, and close to what the net can reach.
DEFAULT_EPOCHS = {"fc": 30, "conv1": 10, "conv2": 10, "conv2-relu": 10, "dropout": 5}
MINI_BATCH_SIZE = 10
#: Runs with fewer epochs anneal the learning rate where the network has a peak for that.
FULL_RUN = 20
FAILURE, USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C.

    arguments: those after the command's name; None takes them from `sys.argv`.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has printed its help or its error
        return int(stop.code or 0)
    try:
        commands = {
            "train": _train,
            "profile": profile.run,
            "check": check.run,
            "devices": devices.run,
            "compile": compile.run,
            "expand": expand.run,
            "info": _info,
        }
        return commands[options.command](options)
    except KeyboardInterrupt:
        print("tinygrad-mnist: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of standard output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except (DatasetError, DeviceError, ImportError, OSError, ValueError) as error:
        print(f"tinygrad-mnist: {error}", file=sys.stderr)
        return FAILURE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tinygrad-mnist",
        description="Train the networks of chapter 6 of Nielsen's book to read handwritten digits.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    names = "; ".join(f"{name}: {recipe.summary}" for name, recipe in RECIPES.items())
    train = commands.add_parser(
        "train",
        help="train a network; the last line on standard output is its test accuracy",
        description="Train one of the book's networks with the book's settings. Only the learning"
        " rate of short runs differs (see --rate). The lines on standard output are those of the"
        " book's program, and then the test accuracy in percent, such as `98.97 %`."
        f" Networks: {names}.",
    )
    train.add_argument(
        "--net", choices=tuple(RECIPES), default="conv2-relu", help="default: %(default)s"
    )
    train.add_argument(
        "--epochs",
        type=positive,
        help="passes over the training data; default: "
        + ", ".join(f"{name} {epochs}" for name, epochs in DEFAULT_EPOCHS.items()),
    )
    train.add_argument(
        "--rate",
        choices=("auto", "book", "annealed"),
        default="auto",
        help="learning rate; book: the book's constant one; annealed: rising and then falling,"
        " for good results after few epochs; auto: annealed below"
        f" {FULL_RUN} epochs, if the network has it; default: %(default)s",
    )
    train.add_argument(
        "--seed", type=seed, default=1, help="seed of the initial weights; default: %(default)s"
    )
    train.add_argument(
        "--expand",
        action="store_true",
        help="add each training image moved by one pixel in four directions: five times the data"
        " and the time",
    )
    train.add_argument("--threads", type=positive, help="CPU threads; default: one per processor")
    add_device(train)
    train.add_argument(
        "--quiet", action="store_true", help="print only the last line, without a progress bar"
    )
    train.add_argument(
        "--test-data",
        metavar="PATH",
        help="read the test images from here, such as MNIST's after training on digits",
    )
    profile.add_parser(commands)
    check.add_parser(commands)
    devices.add_parser(commands)
    compile.add_parser(commands)
    expand.add_parser(commands)
    info = commands.add_parser(
        "info", help="show versions, processor features and where the data are"
    )
    for command in (train, info):
        command.add_argument(
            "--data",
            metavar="PATH",
            help="a file or folder in any of MNIST's layouts (IDX, mnist.npz, mnist.pkl.gz, CSV);"
            f" or a name: {FASHION}, or {DIGITS} for generated digits; default: the usual places,"
            f" then a download, then {DIGITS} if there is no network",
        )
    return parser


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        print(text, file=sys.stderr, flush=True)


def _train(options: argparse.Namespace) -> int:
    config.device = options.device
    if options.threads is not None:
        config.threads = options.threads
    recipe = RECIPES[options.net]
    epochs = options.epochs or DEFAULT_EPOCHS[options.net]
    splits, kind = _load(options)
    net = book_net(options.net, MINI_BATCH_SIZE, options.seed)
    anneal = options.rate == "annealed" or (
        options.rate == "auto" and recipe.peak is not None and epochs < FULL_RUN
    )
    rate = f"up to {recipe.peak} and down to 0, the book's is {recipe.eta}"
    hint = ", a few minutes" if options.epochs is None and not options.expand else ""
    _say(
        options,
        f"{recipe.name}: {recipe.summary}; {len(splits.training.labels):,} {kind}training images"
        f"{f', tested on {options.test_data}' if options.test_data else ''},"
        f" {epochs} epochs{hint} (the book: {recipe.epochs}), learning rate"
        f" {rate if anneal else recipe.eta}, seed {options.seed}",
    )
    start = time.perf_counter()
    training, validation, test = share_data(splits)
    history = net.train(
        training,
        validation,
        test,
        epochs,
        anneal,
        quiet=options.quiet,
        progress=False if options.quiet else None,
    )
    _say(options, f"{time.perf_counter() - start:.0f} s")
    assert history.test_accuracy is not None
    print(f"{100 * history.test_accuracy:.2f} %")
    return 0


def _load(options: argparse.Namespace) -> tuple[Splits, str]:
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


def _info(options: argparse.Namespace) -> int:
    rows = [
        ("tinygrad_mnist", __version__),
        ("Python", platform.python_version()),
        ("NumPy", np.__version__),
        ("platform", platform.platform()),
        *_native_rows(),
        ("device", config.device),
        ("floatX", config.floatX),
        ("data", _data_place(options.data)),
    ]
    for name, value in rows:
        print(f"{name:<16}{value}")
    return 0


def _native_rows() -> list[tuple[str, str]]:
    threads = config.threads or _native.threads()
    return [
        ("SIMD target", f"{_native.target()} (of {', '.join(_native.targets())})"),
        ("threads", str(threads)),
    ]


def _data_place(filename: str | None) -> str:
    if filename == DIGITS:
        return "generated digits"
    try:
        location = locate(filename, fetch=False)
    except DatasetNotFoundError as error:
        if filename is not None or not error.attempts:
            return str(error)
        places = "; ".join(f"{attempt.place}: {attempt.problem}" for attempt in error.attempts)
        return f"{places}; else generated digits" if error.nowhere else places
    seen = [
        f"; {at.place}: {at.problem}" for at in location.attempts if at.problem.startswith(SEEN)
    ]
    return f"{location.path} ({location.place}){''.join(seen)}"
