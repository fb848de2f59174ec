"""The kernels' PTX, run and checked on the processor: values, and whether anything is wrong.

Two cases of every kernel run in the suite; all others are marked as slow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.conv2_relu import conv2_relu_step
from helpers.gpu_cases import CASES, Case
from helpers.native import assert_near, expect

from tinygrad_mnist import backends, config
from tinygrad_mnist.backends.cuda.backend import CudaBackend
from tinygrad_mnist.backends.cuda.gpu import Bound
from tinygrad_mnist.backends.ptx.gpu import PtxGpu, bound_launch
from tinygrad_mnist.backends.ptx.kernel import Kernel, Shape
from tinygrad_mnist.backends.ptx.machine import launch
from tinygrad_mnist.backends.ptx.memory import Window
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec

pytestmark = pytest.mark.ptx
PER_KERNEL = 2


@contextmanager
def device(gpu: PtxGpu) -> Iterator[None]:
    """The device 'ptx' is this one inside."""
    before = backends.BACKENDS.get("ptx")
    backends.BACKENDS["ptx"] = CudaBackend(gpu)
    try:
        yield
    finally:
        del backends.BACKENDS["ptx"]
        if before is not None:
            backends.BACKENDS["ptx"] = before


def chosen_cases() -> list[Any]:
    """All cases that the simulator can run, too. Those in the middle of each kernel's are not
    slow."""
    small = [case for case in CASES if "sim" in case.modes]
    of_kernel: dict[str, list[Case]] = {}
    for case in small:
        of_kernel.setdefault(case.kernel, []).append(case)
    quick = {
        cases[k * len(cases) // PER_KERNEL]
        for cases in of_kernel.values()
        for k in range(PER_KERNEL)
    }
    slow = pytest.mark.slow
    return [case if case in quick else pytest.param(case, marks=slow) for case in small]


@pytest.mark.parametrize("case", chosen_cases(), ids=str)
def test_values(case: Case) -> None:
    config.allow_tf32 = case.tf32
    inputs, outputs, params = case.problem()
    call = OneCall(case.kernel, inputs, outputs, params)
    specs = [ArraySpec(a.dtype.name, a.shape) for a in call.arrays[call.n_inputs :]]
    exact = expect(case.kernel, inputs, specs, params)
    observer = Observer()
    with device(PtxGpu(observer)):
        results = call.run("ptx")
    for result, wanted in zip(results, exact, strict=True):
        assert_near(result, wanted, case.tolerance)
    assert list(map(str, observer.faults)) == []


# --- a whole step -------------------------------------------------------------------------------


class Launch(NamedTuple):
    """A launch of a step, with the memory as it was before."""

    kernel: Kernel
    shape: Shape
    parameters: list[int]
    windows: list[Window]
    before: list[Any]


class Recorder(PtxGpu):
    """Keeps what each launch began with."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer)
        self.launches: list[Launch] = []

    def _run(self, bound: Bound) -> None:
        kernel, shape, parameters, windows = bound_launch(bound)
        before = [(w.allocation.data.copy(), w.allocation.written.copy()) for w in windows]
        self.launches.append(Launch(kernel, shape, parameters, windows, before))
        super()._run(bound)


@pytest.fixture(scope="module")
def step() -> tuple[list[Any], list[Any], Recorder]:
    """The first costs of the book's convolutional net, here and on the processor."""
    gpu = Recorder(Observer())
    costs = []
    for name in ("ptx", "cpu"):
        with device(gpu):
            config.device = name
            function = conv2_relu_step()
            costs.append([function(0), function(1)])
    config.device = "cpu"
    return costs[0], costs[1], gpu


def test_a_step_has_the_costs_of_the_processor(step: Any) -> None:
    found, wanted, _ = step
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_step_has_no_faults(step: Any) -> None:
    _, _, gpu = step
    assert list(map(str, gpu.observer.faults)) == []


def rerun(one: Launch, text: str, spoilt: bool = False) -> Observer:
    """A launch with another text, from the memory that it began with. spoilt: its inputs are
    infinite."""
    for window, (data, written) in zip(one.windows, one.before, strict=True):
        window.allocation.data[...] = data
        assert window.allocation.written is not None
        window.allocation.written[...] = written
    if spoilt:
        for window in (w for w in one.windows if w.name.startswith("input")):
            begin = window.start + window.low - window.base
            part = window.allocation.data[begin : begin + (window.high - window.low) // 4 * 4]
            part.view(np.float32)[...] = np.inf
    observer = Observer()
    kernel = Kernel(text, one.kernel.name, follows=True)
    launch(kernel, one.shape, one.parameters, one.windows, observer)
    return observer


def of_first_step(gpu: Recorder) -> Sequence[Launch]:
    return gpu.launches[: len(gpu.launches) // 2]


# Products in which every thread adds up what it computed itself, before others do: launches of the
# step by number, and how many of their barriers order nothing.
SUPERFLUOUS = {"8 gemm": 1, "13 gemm": 1}


def test_every_barrier_of_a_step_is_needed(step: Any) -> None:
    """Without any one of them, threads race: some only where numbers aren't finite."""
    _, _, gpu = step
    unseen: dict[str, int] = {}
    n = 0
    for number, one in enumerate(of_first_step(gpu)):
        lines = one.kernel.text.split("\n")
        for k, line in enumerate(lines):
            if line.strip().startswith("bar.sync"):
                n += 1
                text = "\n".join([*lines[:k], "", *lines[k + 1 :]])
                runs = (rerun(one, text, spoilt) for spoilt in (False, True))
                if not any(f.kind == "race" for run in runs for f in run.faults):
                    name = f"{number} {one.kernel.name}"
                    unseen[name] = unseen.get(name, 0) + 1
    assert n >= 50
    assert unseen == SUPERFLUOUS
