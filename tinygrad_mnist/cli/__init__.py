"""The command `tinygrad-mnist`: train and use networks, profile them, check kernels, show what is
installed."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence

import numpy as np

from tinygrad_mnist import _native
from tinygrad_mnist._version import __version__
from tinygrad_mnist.backends.ptx.types import PtxError
from tinygrad_mnist.cli import (
    book,
    check,
    compile,
    devices,
    evaluate,
    expand,
    plot,
    predict,
    profile,
    summary,
    train,
)
from tinygrad_mnist.cli.arguments import Parser, UsageError
from tinygrad_mnist.cli.data import add_data
from tinygrad_mnist.cli.streams import close_streams, open_streams, report
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets import DIGITS, SEEN, DatasetNotFoundError, locate
from tinygrad_mnist.errors import DeviceError, GraphError, printable
from tinygrad_mnist.startup import INTERRUPTED, restore_interrupts

FAILURE, USAGE = 1, 2
# Errors that are one line on standard error; others are bugs, and have a traceback.
EXPECTED = (OverflowError, DeviceError, GraphError, ImportError, OSError, PtxError, ValueError)
_COMMANDS = {
    "train": train.run,
    "evaluate": evaluate.run,
    "predict": predict.run,
    "summary": summary.run,
    "profile": profile.run,
    "check": check.run,
    "devices": devices.run,
    "compile": compile.run,
    "expand": expand.run,
    "book": book.run,
    "plot": plot.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C.

    An error is one line on standard error. Where standard output is closed or full, that is one.

    arguments: those after the command's name; None takes them from `sys.argv`.
    """
    try:
        restore_interrupts()
        open_streams()
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        report("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of standard output, such as `head`, has ended
        code = FAILURE
    except MemoryError as error:
        report(f"there is not enough memory{f': {error}' if str(error) else ''}")
        code = FAILURE
    except EXPECTED as error:
        report(str(error))
        code = USAGE if isinstance(error, UsageError) else FAILURE
    close_streams()
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has printed its help or its error
        return int(stop.code or 0)
    return {**_COMMANDS, "info": _info}[options.command](options)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="tinygrad-mnist",
        description="Train the networks of chapter 6 of Nielsen's book, and Keras models, to read"
        " handwritten digits.",
    )
    parser.add_argument("--version", action="version", version=f"tinygrad-mnist {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (
        *(train, evaluate, predict, summary, plot, book, expand),
        *(profile, check, devices, compile),
    ):
        command.add_parser(commands)
    info = commands.add_parser(
        "info", help="show versions, processor features and where the data are"
    )
    add_data(info, "--data")
    return parser


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
        print(f"{name:<16}{printable(value)}")
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
