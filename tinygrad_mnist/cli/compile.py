"""`tinygrad-mnist compile`: fills a folder with machine code for GPUs, on a machine without one."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tinygrad_mnist.errors import DeviceError

_USE = "TINYGRAD_MNIST_CUDA_CODE={folder} {command}"


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "compile",
        help="compile the kernels of a program for GPUs, without a GPU",
        description="Run a program that uses the device cuda, on a machine without a GPU: its"
        " kernels are compiled into a folder, and nothing is computed (results are zeros). On a"
        " machine with a GPU, TINYGRAD_MNIST_CUDA_CODE=FOLDER in the environment makes the same"
        " program use them, with or without a compiler. Example:"
        " tinygrad-mnist compile --capability 9.0 --folder kernels"
        " tinygrad-mnist train --device cuda --net conv2-relu --epochs 3",
    )
    parser.add_argument(
        "--capability",
        required=True,
        metavar="X.Y",
        help="compute capability of the GPUs, such as 7.5, 8.0, 9.0",
    )
    parser.add_argument(
        "--folder", required=True, type=Path, help="where the machine code goes; made if needed"
    )
    parser.add_argument(
        "program",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM ...",
        help="the program and its arguments, such as `python train.py`; TINYGRAD_MNIST_DEVICE=cuda"
        " is in its environment",
    )


def run(options: argparse.Namespace) -> int:
    """Runs the program; returns its exit code, or 1 where the compiler is missing."""
    ahead: Any = import_module("tinygrad_mnist.backends.cuda.ahead")
    toolkit: Any = import_module("tinygrad_mnist.backends.cuda.toolkit")
    cache: Any = import_module("tinygrad_mnist.backends.cuda.cache")
    ahead.capability_of(options.capability)
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not program:
        raise ValueError("name the program whose kernels are compiled, such as `python train.py`")
    for part in toolkit.compiler_missing():
        raise DeviceError(f"nothing can be compiled: {part.problem}; {part.remedy}")
    folder = options.folder.resolve()
    environment = {
        **os.environ,
        ahead.COMPILE_FOR: options.capability,
        cache.CACHE: str(folder),
        "TINYGRAD_MNIST_DEVICE": "cuda",
    }
    environment.pop(cache.CARRIED, None)
    try:
        code = subprocess.run(program, env=environment, check=False).returncode
    except FileNotFoundError as error:
        raise ValueError(f"there is no program {program[0]!r}") from error
    n = len(list((folder / cache.CODE).glob("*")))
    use = _USE.format(folder=shlex.quote(str(folder)), command=shlex.join(program))
    print(f"{folder} has the machine code of {n} designs; use it with: {use}", file=sys.stderr)
    return code
