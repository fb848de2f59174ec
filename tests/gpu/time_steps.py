"""Times training steps of conv2-relu in CUDA graphs of 1, 16 and 64 steps.

python tests/gpu/time_steps.py                      on a GPU
python tests/gpu/time_steps.py --device cudasim --small --steps 1 --repeats 1

Per size of the graph: the median and the fastest time of a step in a sweep, in µs. Exit status 1 if
the costs differ from those of graphs of one step by a single bit.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from tinygrad_mnist import config
from tinygrad_mnist.backends.cuda import program
from tinygrad_mnist.booknets import book_net
from tinygrad_mnist.network3 import FullyConnectedLayer, Network, SoftmaxLayer, share_data

SIZES = (1, 16, 64)


def made(small: bool) -> tuple[Network, int]:
    """A network, and the pixels of its images."""
    if small:
        layers = [FullyConnectedLayer(20, 5), SoftmaxLayer(5, 10)]
        return Network(layers, 2, seed=1), 20
    return book_net("conv2-relu", 10, seed=1).network, 784


def timed(together: int, small: bool, steps: int, repeats: int) -> tuple[list[float], bytes]:
    """Seconds per step of several sweeps, and the bytes of the costs of the first."""
    program.STEPS_TOGETHER = together
    net, pixels = made(small)
    n = steps * net.mini_batch_size
    rng = np.random.default_rng(0)
    [data] = share_data([(rng.random((n, pixels), np.float32), rng.integers(0, 10, n))])
    train = net.training_function(data, 0.03, 0.1)
    costs = np.asarray(train.sweep(range(steps)))  # compiles, and makes the graphs
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        train.sweep(range(steps))
        seconds.append((time.perf_counter() - begin) / steps)
    return seconds, costs.tobytes()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/gpu/time_steps.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--device", default="cuda", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=2048, help="of a sweep; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="timed sweeps; default: %(default)s")
    parser.add_argument("--small", action="store_true", help="a tiny network, for the simulator")
    options = parser.parse_args()
    config.device = options.device
    first = b""
    same = True
    for together in SIZES:
        seconds, costs = timed(together, options.small, options.steps, options.repeats)
        first = first or costs
        same = same and costs == first
        median, fastest = (1e6 * s for s in (statistics.median(seconds), min(seconds)))
        print(
            f"graphs of {together:2} steps: {median:9.1f} us a step, fastest {fastest:9.1f};"
            f" costs {'equal' if costs == first else 'DIFFER'}",
            flush=True,
        )
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
