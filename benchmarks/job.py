"""The job of a worker: which framework runs which workload, in which mode, on which device."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import Conv, Workload, parse

#: Module and installed packages of each framework.
FRAMEWORKS = {
    "ours": ("benchmarks.ours", "tinygrad_mnist"),
    "pytorch": ("benchmarks.peers.torch_", "torch"),
    "jax": ("benchmarks.peers.jax_", "jax"),
    "tensorflow": ("benchmarks.peers.tensorflow_", "tensorflow"),
    "pytensor": ("benchmarks.peers.pytensor_", "pytensor"),
}
#: By device, the frameworks and their modes: those where each step is a call from Python, and
#: those where a compiled graph or a native call runs many steps.
MODES = {
    "cpu": {
        "ours": ("call", "loop"),
        "pytorch": ("eager", "channels-last", "compile"),
        "jax": ("call", "call-convolve", "loop", "loop-convolve"),
        "tensorflow": ("call", "loop"),
        "pytensor": ("call",),
    },
    "cuda": {
        "ours": ("call", "loop"),
        "pytorch": (
            "eager",
            "channels-last",
            "compile",
            "compile-channels-last",
            "graph",
            "graph-channels-last",
        ),
        "jax": ("call", "loop", "loop-patches"),
    },
}
#: What a mode is called in the framework's own words.
WORDS = {
    ("ours", "loop"): "sweep",
    ("jax", "call"): "jit",
    ("jax", "loop"): "scan",
    ("jax", "call-convolve"): "jit, its own convolutions",
    ("jax", "loop-convolve"): "scan, its own convolutions",
    ("jax", "loop-patches"): "scan, convolutions as products",
    ("tensorflow", "call"): "tf.function",
    ("tensorflow", "loop"): "loop in graph",
    ("pytorch", "compile"): "torch.compile",
    ("pytorch", "compile-channels-last"): "torch.compile, channels-last",
    ("pytorch", "graph"): "CUDAGraph",
    ("pytorch", "graph-channels-last"): "CUDAGraph, channels-last",
}


@dataclass(frozen=True)
class Job:
    """One worker's task; it can be sent to a process as JSON.

    threads: of the processor, where that computes. device: cpu or cuda.
    """

    framework: str
    mode: str
    threads: int
    workload_name: str
    device: str = "cpu"

    @property
    def workload(self) -> Workload:
        return parse(self.workload_name)

    @property
    def name(self) -> str:
        """As tables show it: the framework and the mode in its own words."""
        return f"{self.framework}, {WORDS.get((self.framework, self.mode), self.mode)}"

    @property
    def loops(self) -> bool:
        """Whether many steps run without going back to Python."""
        return self.mode.startswith("loop")

    @property
    def channels_last(self) -> bool:
        """Whether images lie in memory with their maps as the last axis."""
        return self.mode.endswith("channels-last")

    @property
    def loop(self) -> int:
        """Steps of one call of a loop inside a compiled graph: some tenths of a second at most."""
        most, flops = (1000, 1e12) if self.device == "cuda" else (500, 6e9)
        return max(1, min(most, int(flops // self.workload.flops)))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        return cls(**json.loads(text))


def peers_of(device: str, every: bool = False) -> list[str]:
    """The frameworks that ours is timed beside where none are named. Not PyTensor, unless `every`:
    it was far behind. docs/performance.md has the figures."""
    return [f for f in MODES[device] if f != "ours" and (every or f != "pytensor")]


def hopeless(workload: Workload) -> list[tuple[str, str]]:
    """Frameworks and modes that were far behind others of the same framework on a processor, and
    are not worth their minutes. docs/performance.md has the figures.
    """
    convolutions = [layer for layer in workload.net.layers if isinstance(layer, Conv)]
    if workload.infer:
        return [("jax", "call"), ("jax", "loop")] if convolutions else []
    slow = [("jax", "loop-convolve")]
    if all(layer.stride == 1 for layer in convolutions):
        slow.append(("jax", "call-convolve"))
    return slow


def jobs_of(
    workload: Workload,
    frameworks: list[str],
    threads: int,
    device: str = "cpu",
    every: bool = False,
) -> list[Job]:
    """A job per mode that makes a difference: how images lie, and how convolutions are computed,
    does only where there are any; PyTensor is timed in training alone; CUDA graphs by hand are of
    nets whose only state is their parameters; what is `hopeless` is left out, unless `every`."""
    net = workload.net
    convolves = any(isinstance(layer, Conv) for layer in net.layers)
    captured = not (workload.infer or net.adam or any(layer.normalise for layer in net.layers))
    left_out = [] if every or device == "cuda" else hopeless(workload)
    return [
        Job(framework, mode, threads, workload.name, device)
        for framework in frameworks
        for mode in MODES[device].get(framework, ())
        if (convolves or not mode.endswith(("channels-last", "patches", "convolve")))
        and (captured or not mode.startswith("graph"))
        and not (workload.infer and framework == "pytensor")
        and (framework, mode) not in left_out
    ]


class Steps(Protocol):
    """What every framework's module has: the steps of a job, made ready and run.

    One may also have `details`, a dict that a report passes on: versions of libraries, say.
    """

    #: Steps are run in multiples of this.
    quantum: int

    def __init__(self, job: Job) -> None: ...

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Takes the data, images (n, 784) and labels (n,), and starts at the first mini-batch."""

    def reset(self) -> None:
        """Starts again, from the initial weights and the first mini-batch."""

    def run(self, steps: int) -> NDArray[Any]:
        """Runs so many steps, and waits for them; the costs of the last call, or its logits."""
