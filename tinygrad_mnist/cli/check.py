"""`tinygrad-mnist check`: a kernel against NumPy in float64, with the user's shapes and dtypes."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from tinygrad_mnist.backends.cpu import instruction_set, instruction_sets
from tinygrad_mnist.checking import (
    KERNELS,
    LAYOUTS,
    KernelCheck,
    check_all,
    check_kernel,
    shapes_text,
)
from tinygrad_mnist.checking.problems import COUNTS, REDUCTIONS, WINNERS
from tinygrad_mnist.cli.arguments import add_device, positive, seed
from tinygrad_mnist.compile.listing import counted
from tinygrad_mnist.config import config

PASSED, WRONG = 0, 1
# Columns with their widths. A narrow terminal loses the first ones of _DROPPED first.
_COLUMNS = {"shapes": 34, "layout": 13, "dtype": 8, "out": 3, "kernel": 26}
_FIGURES = {"ulp": 9, "error": 8, "bound": 8, "used": 6, "": 5}
_DROPPED = ("shapes", "layout", "bound", "dtype", "out", "used")


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "check",
        help="compare a kernel with NumPy in float64, for shapes of your own",
        description="Run a kernel on random numbers and compare it with NumPy in float64. ulp: of"
        " the element with the largest error, in units of its last place. error: norm of the"
        " difference divided by the norm of the exact result. used: the error of an element, as a"
        " share of the bound that docs/accuracy.md states, on the CPU. On ptx also races, accesses"
        " outside of arrays and the like are found. The exit code is 1 if an error is above its"
        " bound, or anything else is wrong. A gradient takes the shapes of its convolution or pool."
        f" Kernels: {', '.join(KERNELS)}.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("kernel", nargs="?", choices=KERNELS, metavar="KERNEL", help="its name")
    which.add_argument(
        "--all", action="store_true", help="every kernel, in float32 and float64 and all layouts"
    )
    parser.add_argument(
        "--shape", type=_integers, metavar="N,C,H,W", help="of the first operand; has a default"
    )
    parser.add_argument(
        "--filters", type=_integers, metavar="O,C,KH,KW", help="of the filters of a convolution"
    )
    parser.add_argument(
        "--by", type=_integers, metavar="K,N", help="of the right-hand matrix of gemm"
    )
    for name, default in (("stride", "1,1; of a pool its size"), ("padding", "0,0")):
        parser.add_argument(f"--{name}", type=_pair, metavar="H,W", help=f"default: {default}")
    parser.add_argument("--pool", type=_pair, metavar="H,W", help="size of a pool; default: 2,2")
    parser.add_argument(
        "--no-flip", action="store_true", help="a cross-correlation instead of a convolution"
    )
    parser.add_argument("--axis", type=_integers, metavar="AXES", help="of a reduction")
    parser.add_argument(
        "--op",
        help=f"of reduce ({', '.join(REDUCTIONS)}), average_pool2d ({', '.join(COUNTS)}),"
        f" a max-pool ({', '.join(WINNERS)}: whose bits its mask has) or"
        " elementwise (an instruction such as exp or add); default: each in turn",
    )
    parser.add_argument("--dtype", default="", help="default: float32, of integer_gemm int64")
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="contiguous",
        help=f"of the arrays in memory: {', '.join(LAYOUTS)}; default: %(default)s",
    )
    parser.add_argument(
        "--target", choices=instruction_sets(), help="instruction set of the cpu; default: the best"
    )
    parser.add_argument("--threads", type=positive, help="CPU threads; default: one per processor")
    parser.add_argument("--seed", type=seed, default=0, help="of the values; default: %(default)s")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Prints one line per output, and one per fault that the device ptx has found. Returns the exit
    code: 0, or 1 if a result is wrong or a kernel has a fault.

    Raises ValueError for shapes that the kernel can't have, DeviceError where the device can't be
    used.
    """
    config.threads = options.threads
    with instruction_set(options.target):
        return _report(_checks(options), sys.stdout)


def _checks(options: argparse.Namespace) -> Iterator[KernelCheck]:
    if options.all:
        return check_all(options.device, options.seed)
    given = {
        "shape": options.shape,
        "filters": options.filters or options.by,
        "stride": options.stride,
        "padding": options.padding or (0, 0),
        "pool": options.pool or (2, 2),
    }
    for name in ("dtype", "layout", "axis", "op", "seed"):
        given[name] = getattr(options, name)
    flip = not options.no_flip
    return iter(check_kernel(options.kernel, device=options.device, flip=flip, **given))


def _report(checks: Iterator[KernelCheck], out: TextIO) -> int:
    columns = _columns(shutil.get_terminal_size().columns)
    print(_line(columns, {name: name for name in columns}), file=out)
    wrong = total = faults = 0
    for check in checks:
        print(_line(columns, _cells(check)), file=out, flush=True)
        for fault in check.faults:
            print(f"  {fault}", file=out, flush=True)
        total, wrong = total + 1, wrong + (not check.error.passes)
        faults += len(check.faults)
    verdict = f"{wrong} wrong" if wrong else "values right" if faults else "all right"
    if faults:
        verdict += f", {counted(faults, 'fault')}"
    print(f"{counted(total, 'result')}, {verdict}", file=out)
    return WRONG if wrong or faults else PASSED


def _columns(width: int) -> dict[str, int]:
    """The columns that fit, the kernel and the figures always among them, and their widths."""
    columns = {"kernel": _COLUMNS["kernel"]}
    columns |= {name: _COLUMNS[name] for name in ("out", "dtype", "layout")} | _FIGURES
    columns |= {"shapes": _COLUMNS["shapes"]}
    for name in _DROPPED:
        if sum(columns.values()) + 2 * (len(columns) - 1) <= width:
            break
        del columns[name]
    rest = sum(columns.values()) + 2 * (len(columns) - 1) - columns["kernel"]
    columns["kernel"] = max(10, min(columns["kernel"], width - rest))
    return columns


def _line(columns: dict[str, int], cells: dict[str, str]) -> str:
    texts = []
    for name, width in columns.items():
        text = cells[name]
        if name != "shapes":  # the last column may be as long as it likes
            text = text if len(text) <= width else text[: width - 1] + "…"
            text = text.rjust(width) if name in _FIGURES else text.ljust(width)
        texts.append(text)
    return "  ".join(texts).rstrip()


def _cells(check: KernelCheck) -> dict[str, str]:
    request, error = check.request, check.error
    return {
        "kernel": f"{request.kernel} {request.op}" if request.op else request.kernel,
        "out": str(check.output),
        "dtype": request.dtype,
        "layout": request.layout,
        "ulp": "" if error.ulp != error.ulp else f"{error.ulp:,.1f}",
        "error": f"{error.norm:.1e}",
        "bound": f"{error.bound:.1e}",
        "used": "" if error.used != error.used else f"{error.used:.1%}",
        "": "ok" if check.passes else "FAULT" if error.passes else "WRONG",
        "shapes": shapes_text(check.shapes),
    }


def _integers(text: str) -> tuple[int, ...]:
    """Integers with commas between them."""
    try:
        return tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not integers such as 10,1,28,28") from None


def _pair(text: str) -> tuple[int, int]:
    """Height and width; one integer is both."""
    values: Sequence[int] = _integers(text)
    if len(values) not in (1, 2):
        raise argparse.ArgumentTypeError(f"{text!r} is not a height and a width such as 2,2")
    return values[0], values[-1]
