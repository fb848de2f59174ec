"""Arguments of the commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import NoReturn

from tinygrad_mnist.config import DEVICES, config, device_of
from tinygrad_mnist.errors import printable


class UsageError(ValueError):
    """An argument names something that isn't there or doesn't fit; the command's exit code is 2."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors begin with what is wrong, and not with all options."""

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2."""
        text = printable(f"{self.prog}: {message}")
        self.exit(2, f"{text}\n{self.prog} --help lists the options\n")


def say(options: argparse.Namespace, text: str) -> None:
    """Prints a line on standard error, unless the command is quiet."""
    if not options.quiet:
        print(text, file=sys.stderr, flush=True)


def positive(text: str) -> int:
    """A positive integer, below 2**31: more would be a mistake, and fits in no axis."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer below 2**31")
    return value


def data_name(text: str) -> str:
    """The name of a file, a folder or a data set."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def seed(text: str) -> int:
    """An integer that seeds NumPy's generators."""
    if not text.isascii() or not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer in 0..2**32-1")
    return int(text)


class _Devices:
    """The values of --device: also Theano's names of a GPU, such as gpu0."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and device_of(name) in DEVICES

    def __iter__(self) -> Iterator[str]:
        return iter(DEVICES)


def add_device(parser: argparse.ArgumentParser) -> None:
    """The argument --device, whose default is `config.device`."""
    parser.add_argument(
        "--device",
        choices=_Devices(),
        default=config.device,
        help="what computes; cpu; cuda: a GPU; auto: a GPU if one can be used, else the CPU;"
        " cudasim: the GPU's kernels in a simulator (very slow); ptx: their PTX, on the CPU (slow);"
        " reference: NumPy;"
        " default: %(default)s",
    )
