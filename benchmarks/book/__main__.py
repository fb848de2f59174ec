"""Time epochs of the book's networks beside PyTorch's, interleaved in one run.

python -m benchmarks.book --torch PYTHON                      three networks; about 5 minutes
python -m benchmarks.book --torch PYTHON --networks relu --epochs 60

PYTHON is the interpreter of an environment that has PyTorch. Every process trains its own network,
an epoch at each turn with its validation, on MNIST; one that isn't at its turn is stopped. Without
--torch, only this package is timed. It imports the package: from the repository's root, install it
with `pip install -e .`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.book.worker import NETWORKS
from benchmarks.report import ratio
from benchmarks.turns import Worker, keep
from tinygrad_mnist.datasets import load_mnist

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "book.json"
LIBRARIES = ("ours", "pytorch", "pytorch-compiled")


def measure(name: str, data: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and validation accuracies of each library's epochs, the first one included."""
    script = str(Path(__file__).with_name("worker.py"))
    workers: dict[str, Worker] = {}
    try:
        for library in LIBRARIES if options.torch else LIBRARIES[:1]:
            python = sys.executable if library == "ours" else options.torch
            workers[library] = Worker([python, script, library, name, data])
        versions = {library: each.ask("version")["version"] for library, each in workers.items()}
        epochs: dict[str, list[dict[str, Any]]] = {library: [] for library in workers}
        for _ in range(options.epochs):
            for library, each in workers.items():
                epochs[library].append(each.ask("epoch"))
    finally:
        for each in workers.values():
            each.close()
    return {
        "versions": versions,
        "seconds": {library: [e["seconds"] for e in of] for library, of in epochs.items()},
        "accuracies": {library: [e["accuracy"] for e in of] for library, of in epochs.items()},
    }


def row(name: str, result: dict[str, Any]) -> str:
    """A network's line: seconds an epoch without the first, PyTorch's over ours, accuracies."""
    seconds = {library: of[1:] or of for library, of in result["seconds"].items()}
    cells = [name]
    for library in LIBRARIES:
        if library not in seconds:
            continue
        cell = f"{median(seconds[library]):.2f}"
        if library != "ours":
            middle, low = ratio(seconds[library], seconds["ours"])
            cell += f" ({middle:.1f}, {low:.1f})"
        cells.append(f"{cell}; {100 * result['accuracies'][library][-1]:.2f} %")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.book", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter that has PyTorch")
    parser.add_argument("--networks", nargs="+", choices=tuple(NETWORKS), default=tuple(NETWORKS))
    parser.add_argument("--epochs", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=RESULT, help="default: %(default)s")
    options = parser.parse_args()
    print("| network | ours, s an epoch | PyTorch (ratio, lower quartile) | compiled |")
    print("| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "mnist.npz")
        splits = load_mnist()
        np.savez(
            data,
            training_x=np.asarray(splits.training.images, np.float32).reshape(-1, 784),
            training_y=np.asarray(splits.training.labels, np.int64),
            validation_x=np.asarray(splits.validation.images, np.float32).reshape(-1, 784),
            validation_y=np.asarray(splits.validation.labels, np.int64),
        )
        of_name = partial(measure, data=data, options=options)
        keep("networks", options.networks, of_name, row, options.output)


if __name__ == "__main__":
    main()
