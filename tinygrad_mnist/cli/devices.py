"""`tinygrad-mnist devices`: the devices of this machine, and what is missing to use a GPU."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tinygrad_mnist.backends import BACKENDS
from tinygrad_mnist.backends.devices import processor
from tinygrad_mnist.config import config

_NAME = 12  # characters of the first column


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    commands.add_parser(
        "devices",
        help="list the processor and GPUs, and what is missing if no GPU can be used",
        description="List the processor with its SIMD target and threads, every GPU with its"
        " compute capability, memory and multiprocessors, and the driver. If no GPU can be used,"
        " also list what is missing and how to install it. The first GPU is used, or the one whose"
        " number is in TINYGRAD_MNIST_GPU.",
    )


def run(options: argparse.Namespace) -> int:
    """Prints the list. Returns the exit code, which is 0 even if no GPU can be used."""
    for name, value in rows():
        print(f"{name:<{_NAME}}{value}".rstrip())
    return 0


def rows() -> Iterator[tuple[str, str]]:
    """The lines in two columns."""
    cpu = BACKENDS["cpu"]
    threads = "1 thread" if cpu.threads == 1 else f"{cpu.threads} threads"
    yield "processor", f"{processor()}: {threads}, SIMD target {cpu.target}"
    availability: Any = import_module("tinygrad_mnist.backends.cuda.availability")
    missing = availability.missing()
    gpus = availability.gpus()
    for gpu in gpus:
        yield f"GPU {gpu.number}", _gpu(gpu, not missing and gpu.number == availability.chosen())
    if gpus:
        yield "driver", f"serves CUDA {availability.driver_serves()}"
    if missing:
        yield "GPU", "none can be used:"
    lacks = availability.compiler_missing()
    if lacks and not missing:
        yield "compiler", "kernels that are not in the cache can't be compiled:"
    for part in dict.fromkeys((*missing, *lacks)):
        yield f"  {part.part}", part.problem
        if part.remedy:
            yield "", part.remedy
    yield "device", f"{config.device} (config.device, TINYGRAD_MNIST_DEVICE)"
    cache: Any = import_module("tinygrad_mnist.backends.cuda.cache")
    yield "kernels", f"compiled for GPUs: {cache.cache_folder()}{_size(cache.kept_bytes())}"
    carried = cache.carried_folder()
    if carried is not None:
        yield "", f"carried here: {carried} ({cache.CARRIED})"


def _gpu(gpu: Any, is_used: bool) -> str:
    major, minor = gpu.capability
    facts = [
        f"compute capability {major}.{minor}",
        f"{gpu.memory / 2**30:.1f} GiB",
        f"{gpu.multiprocessors} multiprocessors",
    ]
    return f"{gpu.name}: {', '.join(facts)}{' (used)' if is_used else ''}"


def _size(nbytes: int) -> str:
    return f", {nbytes / 2**20:.1f} MiB; may be removed" if nbytes else ", empty"
