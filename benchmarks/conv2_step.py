"""A training step of the book's conv2-relu net at mini-batch 10, against PyTorch eager.

    python -m benchmarks.conv2_step --threads 2 --data ../shared/data/mnist

Both sides slice the mini-batch from data in memory, go forward and backward, and update with L2.
Blocks of steps are timed in turn, A B C A B C, and a ratio is that of neighbours; its median and
lower quartile are what to quote. Also measured: the time from `function()` to the first result.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import tinygrad_mnist
from tinygrad_mnist import _native, network3
from tinygrad_mnist.datasets import load_mnist
from tinygrad_mnist.models import book_net

BATCH, IMAGES, ETA, LMBDA = 10, 5000, 0.03, 0.1
STEPS = IMAGES // BATCH

Block = Callable[[int], None]


@dataclass
class Contestant:
    """One way of running steps: a name, and a function that runs so many."""

    name: str
    run: Block


def load(folder: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 784) float32 and labels (n,): real ones, or noise where no folder is given."""
    if folder is None:
        rng = np.random.default_rng(0)
        return rng.random((IMAGES, 784), dtype=np.float32), rng.integers(0, 10, IMAGES)
    images, labels = load_mnist(folder)[0]
    return images[:IMAGES].astype(np.float32), labels[:IMAGES]


def ours(images: np.ndarray, labels: np.ndarray) -> tuple[list[Contestant], dict[str, float]]:
    """Steps called one by one from Python, and by sweep; and what it took to the first one."""
    tinygrad_mnist.config.floatX = "float32"
    (data,) = network3.share_data([(images, labels)])
    net = book_net("conv2-relu", BATCH, seed=0).network
    begin = time.perf_counter()
    train = net.training_function(data, ETA, LMBDA)
    train(0)
    first = time.perf_counter() - begin

    def call(steps: int) -> None:
        for i in range(steps):
            train(i % STEPS)

    def sweep(steps: int) -> None:
        train.sweep([i % STEPS for i in range(steps)])

    facts = {"first_result_s": first, "kernel_calls": len(train.plan.calls)}
    return [Contestant("ours, per call", call), Contestant("ours, sweep", sweep)], facts


def pytorch(images: np.ndarray, labels: np.ndarray, threads: int) -> list[Contestant]:
    """Eager PyTorch, channels first and channels last, with its fused SGD."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)

    def contestant(name: str, memory_format: torch.memory_format) -> Contestant:
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU()]
        layers += [nn.Conv2d(20, 40, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()]
        layers += [nn.Linear(640, 100), nn.ReLU(), nn.Linear(100, 10)]
        model = nn.Sequential(*layers).to(memory_format=memory_format)
        x = torch.from_numpy(images).reshape(-1, 1, 28, 28).contiguous(memory_format=memory_format)
        y = torch.from_numpy(labels.astype(np.int64))
        decay = LMBDA / STEPS
        optimiser = torch.optim.SGD(model.parameters(), lr=ETA, weight_decay=decay, fused=True)

        def run(steps: int) -> None:
            for i in range(steps):
                rows = slice(i % STEPS * BATCH, (i % STEPS + 1) * BATCH)
                loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()

        return Contestant(name, run)

    return [
        contestant("PyTorch eager", torch.contiguous_format),
        contestant("PyTorch eager, channels last", torch.channels_last),
    ]


def measure(contestants: list[Contestant], seconds: float) -> dict[str, list[float]]:
    """Seconds per step of each, block by block, the blocks of all taken in turn."""
    for c in contestants:
        c.run(20)
    times: dict[str, list[float]] = {c.name: [] for c in contestants}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for c in contestants:
            begin = time.perf_counter()
            c.run(50)
            times[c.name].append((time.perf_counter() - begin) / 50)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--data", help="MNIST folder or pickle; noise without it")
    parser.add_argument("--json", help="write the figures to this file")
    args = parser.parse_args()
    tinygrad_mnist.config.threads = args.threads
    images, labels = load(args.data)
    contestants, facts = ours(images, labels)
    try:
        contestants += pytorch(images, labels, args.threads)
    except ImportError:
        print("PyTorch is not installed: only our own times", file=sys.stderr)
    times = measure(contestants, args.seconds)
    report: dict[str, object] = {
        "threads": args.threads,
        "data": "MNIST" if args.data else "noise",
        "simd": _native.target(),
        "machine": platform.machine(),
        **facts,
    }
    print(f"function() to first result: {facts['first_result_s']:.3f} s")
    own = np.array(times["ours, per call"])
    for name, values in times.items():
        ratio = np.array(values) / own
        median, quartile = np.median(ratio), np.quantile(ratio, 0.25)
        report[name] = {"us": np.median(values) * 1e6, "ratio": median, "lower": quartile}
        print(
            f"{name:30s} {np.median(values) * 1e6:8.0f} us a step; "
            f"{median:5.2f} times ours per call (lower quartile {quartile:.2f})"
        )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
