"""Time epochs of the tutorials' models beside Keras's on TensorFlow, interleaved in one run.

python -m benchmarks.tutorials --keras PYTHON                 all models; about 15 minutes
python -m benchmarks.tutorials --keras PYTHON --models convnet --images 12800

PYTHON is the interpreter of an environment that has TensorFlow. Every process has its own model and
trains one epoch at each turn; one that isn't at its turn is stopped. Without --keras, only this
package is timed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.report import ratio
from benchmarks.turns import Worker, keep
from tinygrad_mnist.datasets import load_mnist

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "tutorials.json"


@dataclass(frozen=True)
class Entry:
    """A model of the examples: its place, its batch, and how many images an epoch has here."""

    place: str
    batch: int
    images: int = 60_000


MODELS = {
    "dense": Entry("keras_mnist_convnet.py:dense", 128),
    "convnet": Entry("keras_mnist_convnet.py:convnet", 128, 6_400),
    "deep": Entry("keras_deep_convnet.py:deep_convnet", 128, 1_280),
    "fashion-dense": Entry("keras_fashion.py:dense", 32),
    "fashion-conv": Entry("keras_fashion.py:convolutions", 32, 6_400),
    "strided": Entry("keras_codelab.py:make:conv", 128, 6_400),
    "batch-norm": Entry("keras_codelab.py:make:batch_norm", 64, 6_400),
}
LIBRARIES = ("ours", "tensorflow", "tensorflow-jit")


def worker(python: str, library: str, entry: Entry, data: str) -> Worker:
    """A process of `worker.py`."""
    script = str(Path(__file__).with_name("worker.py"))
    place = str(ROOT / "examples" / entry.place)
    command = [python, script, library, place, data, str(entry.batch)]
    return Worker(command, {"TF_CPP_MIN_LOG_LEVEL": "3"}, is_quiet=library != "ours")


def measure(name: str, options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """The seconds of each library's epochs, and what else stands in a model's row."""
    entry = MODELS[name]
    images = min(entry.images, options.images or entry.images)
    data = write_data(images, folder)
    libraries = LIBRARIES if options.keras else LIBRARIES[:1]
    workers: dict[str, Worker] = {}
    try:
        for library in libraries:
            python = sys.executable if library == "ours" else options.keras
            workers[library] = worker(python, library, entry, data)
        facts = {library: process.ask("parameters") for library, process in workers.items()}
        first = {library: process.ask("epoch") for library, process in workers.items()}
        times: dict[str, list[float]] = {library: [] for library in libraries}
        for _ in range(options.rounds):
            for library, process in workers.items():
                times[library].append(process.ask("epoch")["seconds"])
    finally:
        for process in workers.values():
            process.close()
    return {
        "batch": entry.batch,
        "images": images,
        "parameters": {library: fact["parameters"] for library, fact in facts.items()},
        "versions": {library: fact["version"] for library, fact in facts.items()},
        "first_epoch": first,
        "seconds": times,
    }


def write_data(images: int, folder: str) -> str:
    """The first images of MNIST, channels last, in 0..1, as a file that every worker reads."""
    path = os.path.join(folder, f"{images}.npz")
    if not os.path.exists(path):
        splits = load_mnist()
        x = np.concatenate([splits.training.images, splits.validation.images])[:images]
        y = np.concatenate([splits.training.labels, splits.validation.labels])[:images]
        x = np.asarray(x, np.float32).reshape(-1, 28, 28, 1)
        np.savez(path, x=x, y=np.asarray(y, np.int64))
    return path


def row(name: str, result: dict[str, Any]) -> str:
    """A model's line of the table: milliseconds a step, and the peers' times over ours."""
    steps = -(-result["images"] // result["batch"])
    seconds = result["seconds"]
    cells = [name, str(result["batch"]), f"{1000 * median(seconds['ours']) / steps:.2f}"]
    for library in LIBRARIES[1:]:
        if library not in seconds:
            continue
        middle, low = ratio(seconds[library], seconds["ours"])
        step = 1000 * median(seconds[library]) / steps
        cells.append(f"{step:.2f} ({middle:.2f}, {low:.2f})")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tutorials", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--keras", metavar="PYTHON", help="an interpreter that has TensorFlow")
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    parser.add_argument("--images", type=int, help="at most so many images an epoch")
    parser.add_argument("--rounds", type=int, default=7, help="timed epochs each; default: 7")
    parser.add_argument("--output", type=Path, default=RESULT, help="default: %(default)s")
    options = parser.parse_args()
    print("| model | batch | ours, ms/step | TensorFlow (ratio, lower quartile) | with XLA |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        of_name = partial(measure, options=options, folder=folder)
        keep("models", options.models, of_name, row, options.output)


if __name__ == "__main__":
    main()
