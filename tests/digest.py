"""Prints a digest of the first costs of every book net and of the larger benchmark nets.

    python tests/digest.py > before.txt        # in an environment with the old code
    python tests/digest.py > after.txt         # in one with the new code
    diff before.txt after.txt

A line is the net, the dtype, the SIMD target, the number of threads, and a SHA-256 of the costs'
bytes: equal lines mean that every cost has the same bits. Images have a black border, as MNIST's
have, so that windows of a max-pool tie. `--nets`, `--targets`, `--threads`, `--steps` choose less;
everything takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[1]))  # behind the installed package: for benchmarks/

from benchmarks.job import Job
from benchmarks.ours import Steps
from tinygrad_mnist import _native, config, network3
from tinygrad_mnist.booknets import RECIPES, book_net

LARGE = ("W5", "W6", "W7")
STEPS, BATCHES = 100, 10
Costs = Callable[[int], NDArray[Any]]  # of the first so many steps


def data(n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images (n, 784) of 256 grey levels with a black border, and labels (n,)."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (n, 28, 28)) / 256
    images[:, :5] = images[:, -5:] = images[:, :, :4] = images[:, :, -4:] = 0
    return images.reshape(n, 784), rng.integers(0, 10, n)


def book_costs(name: str, dtype: str) -> Costs:
    """Costs of a net of the book, from the same weights on."""
    config.floatX = dtype
    (shared,) = network3.share_data([data(10 * BATCHES)])
    net = book_net(name, 10, seed=3)
    step = net.network.training_function(shared, net.recipe.eta, net.recipe.lmbda)
    return lambda n: np.asarray(step.sweep([i % BATCHES for i in range(n)]))


def large_costs(name: str, dtype: str) -> Costs:
    """Costs of a net of the benchmark, from the same weights on."""
    steps = Steps(Job("ours", "call", config.threads or 1, name), dtype)
    images, labels = data(BATCHES * Job("ours", "call", 1, name).workload.batch)
    steps.load(images.astype(np.float32), labels)
    return lambda n: np.concatenate([steps.run(1) for _ in range(n)])


def digest(name: str, dtype: str, target: str, threads: int, n: int) -> str:
    """SHA-256 of the first n costs, in 16 hexadecimal digits."""
    _native.set_target(target)
    config.threads = threads
    costs = (large_costs if name in LARGE else book_costs)(name, dtype)(n)
    assert costs.shape == (n,)
    assert np.isfinite(costs).all()
    return hashlib.sha256(np.ascontiguousarray(costs).tobytes()).hexdigest()[:16]


def main() -> None:
    """The command."""
    nets = (*RECIPES, *LARGE)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=nets, default=nets)
    parser.add_argument("--targets", nargs="+", default=_native.targets())
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=STEPS)
    wish = parser.parse_args()
    for name in wish.nets:
        for dtype in ("float32", "float64"):
            for target in wish.targets:
                for threads in wish.threads:
                    found = digest(name, dtype, target, threads, wish.steps)
                    print(f"{name:10} {dtype} {target:8} {threads} {found}", flush=True)


if __name__ == "__main__":
    main()
