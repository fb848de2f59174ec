"""Kills a training on MNIST at random moments, lets it go on, and compares it with one that ran
undisturbed: all bits must be the same.

    python tests/network3/kill_and_resume.py [--kills 10] [--epochs 2] [--seed 0]

The net has a convolution, dropout, a learning rate that falls from step to step, and images in a
new order for every epoch, so that the state is more than the parameters. Needs MNIST (see
docs/data.md) and two minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_mnist.network3 import (
    Checkpoint,
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    Reporter,
    SoftmaxLayer,
    load_data_shared,
    size,
)
from tinygrad_mnist.saving import load_arrays
from tinygrad_mnist.training.schedule import falling

EVERY = 150  # steps between two checkpoints; chunks of an epoch end after 100 steps, and there
BATCH = 10


def train(path: Path, epochs: int) -> None:
    """Trains, or goes on from the file; prints a line before the first chunk and after each."""
    advance = Reporter.advance

    def spoken(self: Reporter, steps: int, cost: float) -> None:
        print(steps, flush=True)
        advance(self, steps, cost)

    Reporter.advance = spoken  # type: ignore[method-assign]
    training, validation, test = load_data_shared()
    layers = [
        ConvPoolLayer((6, 1, 5, 5), (BATCH, 1, 28, 28), activation_fn=ReLU),
        FullyConnectedLayer(6 * 12 * 12, 30, ReLU, p_dropout=0.3),
        SoftmaxLayer(30, 10, p_dropout=0.3),
    ]
    net = Network(layers, BATCH, seed=1)
    np.random.seed(1)  # noqa: NPY002 (of the orders of the images)
    net.SGD(
        training,
        epochs,
        BATCH,
        falling(0.05, 0.01, epochs * size(training) // BATCH),
        validation,
        test,
        0.1,
        quiet=True,
        shuffle=True,
        checkpoint=Checkpoint(path, EVERY, resume=True),
    )


def started(path: Path, epochs: int) -> subprocess.Popen[str]:
    """The training in a process of its own."""
    command = [sys.executable, __file__, "--train", str(path), "--epochs", str(epochs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed(path: Path, epochs: int, chunks: int, moment: float) -> int:
    """Kills a run `moment` of a chunk's time after so many chunks, or when it has ended; returns
    how many steps its file has."""
    process = started(path, epochs)
    assert process.stdout is not None
    times = [time.perf_counter()]
    for _ in range(chunks):
        if not process.stdout.readline():
            break
        times.append(time.perf_counter())
    time.sleep(moment * (times[-1] - times[-2]) if len(times) > 2 else 0.0)
    process.kill()
    process.communicate()
    left = [other.name for other in path.parent.iterdir() if other != path]
    assert len(left) <= 1, left  # what was being written; the next run removes it
    return len(load_arrays(path).arrays["history.costs"]) if path.exists() else 0


def differing(one: Path, other: Path) -> list[str]:
    """The arrays of two checkpoints that are not the same, bit for bit."""
    first, second = load_arrays(one).arrays, load_arrays(other).arrays

    def bits(array: Any) -> tuple[Any, ...]:
        return array.dtype.str, array.shape, array.tobytes()

    return [
        name
        for name in sorted(first.keys() | second.keys())
        if name not in first or name not in second or bits(first[name]) != bits(second[name])
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a training, resume it, compare the bits.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train is not None:
        train(options.train, options.epochs)
        return 0
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder, "whole", "run"), Path(folder, "broken", "run")
        for path in (whole, broken):
            path.parent.mkdir()
        started(whole, options.epochs).communicate()
        steps = len(load_arrays(whole).arrays["history.costs"])
        for number in range(options.kills):
            # Chunks of 50 or 100 steps; most runs are killed before they are through.
            chunks = rng.randrange(1, max(2, steps // (40 * options.kills)))
            at = killed(broken, options.epochs, chunks, rng.random())
            print(f"kill {number + 1}: {at:,} of {steps:,} steps are in the file", flush=True)
        started(broken, options.epochs).communicate()
        wrong = differing(whole, broken)
        left = sorted(path.name for path in broken.parent.iterdir())
    print(f"after {steps:,} steps, these differ: {', '.join(wrong) or 'none'}; files: {left}")
    return 1 if wrong or left != ["run"] else 0


if __name__ == "__main__":
    sys.exit(main())
