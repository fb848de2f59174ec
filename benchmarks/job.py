"""What a worker is told: which framework runs which workload, how, with how many threads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import Conv, Workload, parse

#: Module and installed packages of each framework, and its modes: those where each step is a call
#: from Python, and those where a compiled graph or a native call runs many steps.
FRAMEWORKS = {
    "ours": ("benchmarks.ours", "tinygrad_mnist"),
    "pytorch": ("benchmarks.peers.torch_", "torch"),
    "jax": ("benchmarks.peers.jax_", "jax"),
    "tensorflow": ("benchmarks.peers.tensorflow_", "tensorflow"),
    "pytensor": ("benchmarks.peers.pytensor_", "pytensor"),
}
MODES = {
    "ours": ("call", "loop"),
    "pytorch": ("eager", "channels-last", "compile"),
    "jax": ("call", "loop"),
    "tensorflow": ("call", "loop"),
    "pytensor": ("call",),
}
#: What a mode is called in the framework's own words.
WORDS = {
    ("ours", "loop"): "sweep",
    ("jax", "call"): "jit",
    ("jax", "loop"): "scan",
    ("tensorflow", "call"): "tf.function",
    ("tensorflow", "loop"): "loop in graph",
    ("pytorch", "compile"): "torch.compile",
}


@dataclass(frozen=True)
class Job:
    """One worker's task; it can be sent to a process as JSON."""

    framework: str
    mode: str
    threads: int
    workload_name: str

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
        return self.mode == "loop"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        return cls(**json.loads(text))


def jobs_of(workload: Workload, frameworks: list[str], threads: int) -> list[Job]:
    """A job per mode that makes a difference: the layout of images does only where there are any;
    PyTensor is timed in training alone."""
    convolves = any(isinstance(layer, Conv) for layer in workload.net.layers)
    return [
        Job(framework, mode, threads, workload.name)
        for framework in frameworks
        for mode in MODES[framework]
        if (mode != "channels-last" or convolves)
        and not (workload.infer and framework == "pytensor")
    ]


class Steps(Protocol):
    """What every framework's module has: the steps of a job, made ready and run."""

    #: Steps are run in multiples of this.
    quantum: int

    def __init__(self, job: Job) -> None: ...

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Takes the data, images (n, 784) and labels (n,), and starts at the first mini-batch."""

    def reset(self) -> None:
        """Starts again, from the initial weights and the first mini-batch."""

    def run(self, steps: int) -> NDArray[Any]:
        """Runs so many steps, and waits for them; the costs of the last call, or its logits."""
