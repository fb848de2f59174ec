"""`tinygrad-mnist profile`: where the time of a training step goes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.booknets import RECIPES, book_net
from tinygrad_mnist.cli.arguments import UsageError, add_device, data_name, positive
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets import DIGITS, DatasetNotFoundError, draw_digits, locate
from tinygrad_mnist.datasets.sources import read
from tinygrad_mnist.datasets.splits import SIDE
from tinygrad_mnist.files import check_writable
from tinygrad_mnist.network3 import share_data
from tinygrad_mnist.profiling import Profile
from tinygrad_mnist.profiling.columns import TEXTS, Row, fitting, terminal_width
from tinygrad_mnist.profiling.records import (
    CALL_HEAD,
    KERNEL_HEAD,
    call_rows,
    kernel_rows,
    origin_lines,
    summary,
    title,
)

if TYPE_CHECKING:
    from rich.console import Console

_SWEEP = 10  # steps of a sweep: short, so that some are not disturbed by other work
_GAP = 3  # characters between two columns of a table; two more are at its sides


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "profile",
        help="time every kernel call of a training step",
        description="Run training steps of one of the book's networks. Print for every kernel call"
        " its median time, share of the step, GFLOP/s, GB/s, and share of this machine's roofline."
        " Without MNIST the data are generated digits. Nothing is downloaded, and the trained"
        " network is discarded. With --device ptx the kernels for a GPU run on the CPU: what they"
        " do is counted, and their time on a GPU estimated. docs/profiling.md explains the tables.",
    )
    parser.add_argument(
        "--net", choices=tuple(RECIPES), default="conv2-relu", help="default: %(default)s"
    )
    parser.add_argument(
        "--batch", type=positive, default=10, help="size of the mini-batch; default: %(default)s"
    )
    parser.add_argument(
        "--steps",
        type=positive,
        default=200,
        help=f"timed steps, rounded up to a multiple of {_SWEEP}; of --device ptx one is counted;"
        " default: %(default)s",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=1,
        help="CPU threads; default: 1, since with more a call's time includes waiting",
    )
    add_device(parser)
    parser.add_argument(
        "--arch",
        metavar="sm_XY",
        help="with --device ptx: the GPU's architecture, sm_75, sm_80 or sm_90; default: sm_90",
    )
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="also write every call of the timed steps, and the chunks of each thread, as a Chrome"
        " trace (JSON)",
    )
    parser.add_argument(
        "--data",
        type=data_name,
        metavar="PATH",
        help=f"a folder of IDX files, a pickle such as mnist.pkl.gz, or {DIGITS} for generated"
        " digits; default: the usual places, then generated digits",
    )


def run(options: argparse.Namespace) -> int:
    """Profiles and prints; returns the exit code. Raises what reading the data raises."""
    config.device, config.threads = options.device, options.threads
    if config.device == "ptx":
        return _count(options)
    if options.arch is not None:
        raise UsageError(
            f"--arch is for --device ptx; the device {config.device} has an architecture already"
        )
    if options.trace is not None:
        check_writable(options.trace)
    steps = min(_SWEEP, options.steps)
    data = _images(options.data, options.batch * steps)
    book = book_net(options.net, options.batch, seed=1)
    step = book.network.training_function(share_data([data])[0], book.recipe.eta, book.recipe.lmbda)
    repeats = -(-options.steps // steps)
    profile = step.profile(range(steps), sweep=True, repeats=repeats, roofline=True, timeline=True)
    assert isinstance(profile, Profile)  # no network is cut
    _show(profile)
    if options.trace is not None:
        profile.to_chrome_trace(options.trace)
        note = "open it at https://ui.perfetto.dev or in chrome://tracing"
        print(f"trace: {os.fspath(options.trace)} ({note})", file=sys.stderr)
    return 0


def _count(options: argparse.Namespace) -> int:
    """Counts a step of the kernels for a GPU, and prints."""
    if options.trace is not None:
        raise UsageError("--trace is for times, and the device ptx has none: it counts")
    counts: Any = import_module("tinygrad_mnist.profiling.counts")
    table: Any = import_module("tinygrad_mnist.profiling.counts_table")
    arch = options.arch or counts.DEFAULT_ARCHITECTURE
    if arch not in counts.ARCHITECTURES:
        known = ", ".join(counts.ARCHITECTURES)
        raise UsageError(f"--arch {arch} isn't known; there are {known}")
    data = _images(options.data, options.batch)
    with counts.counting(counts.ARCHITECTURES[arch]) as counting:
        book = book_net(options.net, options.batch, seed=1)
        recipe = book.recipe
        step = book.network.training_function(share_data([data])[0], recipe.eta, recipe.lmbda)
        profile = counting.profile(lambda: step(0))
    console = _console()
    console.print(table.title(profile), markup=False, soft_wrap=True)
    for name, head, rows in table.tables(profile):
        console.print(f"\n{name}", markup=False)
        _print_table(console, head, rows)
    for line in (*table.summary(profile), "", *origin_lines(profile.plan, console.width)):
        console.print(line, markup=False, soft_wrap=True)
    return 0


def _images(name: str | None, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """`n` training images and labels, repeated where there are fewer; generated digits where they
    are asked for, or where there is no MNIST.

    Raises DatasetError where the named data can't be found or read.
    """
    if name != DIGITS:
        try:
            images, labels = read(locate(name, fetch=False).path).training
        except DatasetNotFoundError as error:
            if name is not None or not error.nowhere:
                raise
            note = "no MNIST found, the images are generated digits"
            print(f"tinygrad-mnist: {note}", file=sys.stderr)
        else:
            chosen = np.empty((n, images.shape[1]), np.float32)  # first: it may not fit into memory
            np.take(images, np.arange(n) % len(labels), axis=0, out=chosen)
            return chosen, np.resize(labels, n)
    drawn = np.empty((n, SIDE * SIDE), np.float32)
    pixels, labels = draw_digits(n, seed=1)
    np.divide(pixels.reshape(n, -1), np.float32(256), out=drawn)
    return drawn, labels


def _show(profile: Profile) -> None:
    console = _console()
    console.print(title(profile), markup=False)
    _print_table(console, CALL_HEAD, list(call_rows(profile)))
    _print_table(console, KERNEL_HEAD, list(kernel_rows(profile)))
    for line in (*summary(profile), "", *origin_lines(profile.plan, console.width)):
        console.print(line, markup=False, soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    return Console(width=terminal_width(), highlight=False)


def _print_table(console: Console, head: Row, rows: Sequence[Row]) -> None:
    from rich import box
    from rich.table import Table

    names, *cells = fitting(head, rows, console.width - 2, _GAP)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        is_text = name in TEXTS
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    console.print(table)
