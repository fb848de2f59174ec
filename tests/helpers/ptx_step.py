"""Training steps as PTX, whose launches can run again with other texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from helpers.batch_norm_net import batch_norm_step
from helpers.conv2_relu import conv2_relu_step

from tinygrad_mnist import backends, config
from tinygrad_mnist.backends.cuda.backend import CudaBackend
from tinygrad_mnist.backends.cuda.gpu import Bound
from tinygrad_mnist.backends.ptx.gpu import PtxGpu, bound_launch
from tinygrad_mnist.backends.ptx.kernel import Kernel, Shape
from tinygrad_mnist.backends.ptx.machine import launch
from tinygrad_mnist.backends.ptx.memory import Window
from tinygrad_mnist.backends.ptx.observe import Observer


@contextmanager
def device(gpu: PtxGpu) -> Iterator[None]:
    """The device 'ptx' is this one inside."""
    before = backends.BACKENDS.get("ptx")
    made: Any = CudaBackend(gpu)
    backends.BACKENDS["ptx"] = made
    try:
        yield
    finally:
        del backends.BACKENDS["ptx"]
        if before is not None:
            backends.BACKENDS["ptx"] = before


class Launch(NamedTuple):
    """A launch of a step, with the memory as it was before."""

    kernel: Kernel
    shape: Shape
    parameters: list[int]
    windows: list[Window]
    before: list[Any]


def _written(window: Window) -> Any:
    """The record of what is written, which there is where an observer checks."""
    assert window.allocation.written is not None
    return window.allocation.written


class Recorder(PtxGpu):
    """Keeps what each launch began with."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer)
        self.launches: list[Launch] = []

    def _run(self, bound: Bound) -> None:
        kernel, shape, parameters, windows = bound_launch(bound)
        before = [(w.allocation.data.copy(), np.copy(_written(w))) for w in windows]
        self.launches.append(Launch(kernel, shape, parameters, windows, before))
        super()._run(bound)


class Step(NamedTuple):
    """The first costs here and on the CPU, what was found, and the launches of the first step."""

    costs: list[Any]
    wanted: list[Any]
    observer: Observer
    launches: Sequence[Launch]


STEPS = {"conv2-relu": conv2_relu_step, "batch-norm": batch_norm_step}


@cache
def recorded_step(name: str = "conv2-relu") -> Step:
    """Two steps of a net at a small mini-batch."""
    observer = Observer()
    gpu = Recorder(observer)
    costs = []
    before = config.device
    for backend in ("ptx", "cpu"):
        with device(gpu):
            config.device = backend
            function = STEPS[name]()
            costs.append([function(0), function(1)])
    config.device = before
    return Step(costs[0], costs[1], observer, gpu.launches[: len(gpu.launches) // 2])


def rerun(one: Launch, text: str, spoilt: bool = False) -> Observer:
    """A launch with another text, from the memory that it began with. spoilt: its inputs are
    infinite."""
    for window, (data, written) in zip(one.windows, one.before, strict=True):
        window.allocation.data[...] = data
        _written(window)[...] = written
    if spoilt:
        for window in (w for w in one.windows if w.name.startswith("input")):
            begin = window.start + window.low - window.base
            part = window.allocation.data[begin : begin + (window.high - window.low) // 4 * 4]
            part.view(np.float32)[...] = np.inf
    observer = Observer()
    kernel = Kernel(text, one.kernel.name, follows=True)
    launch(kernel, one.shape, one.parameters, one.windows, observer)
    return observer


def contents(one: Launch) -> list[bytes]:
    """What a launch has left in the memory that it may write."""
    return [w.allocation.data.tobytes() for w in one.windows if w.writable]
