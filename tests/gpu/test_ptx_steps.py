"""Training steps as PTX: costs, faults, and whether the checks see what is taken out of a kernel.

See also `test_first_costs` in test_training.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.conv2_relu import conv2_relu_step
from helpers.ptx_step import STEPS, device, recorded_step, rerun

from tinygrad_mnist import config
from tinygrad_mnist.backends.ptx.gpu import PtxGpu
from tinygrad_mnist.backends.ptx.observe import Observer

pytestmark = pytest.mark.ptx
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_no_faults(name: str) -> None:
    step = recorded_step(name)
    np.testing.assert_allclose(step.costs, step.wanted, rtol=1e-5)
    assert list(map(str, step.observer.faults)) == []


def test_first_costs_are_those_of_the_processor() -> None:
    costs = []
    for name in ("ptx", "cpu"):
        config.device = name
        costs.append(conv2_relu_step().sweep([k % 2 for k in range(20)]))
    assert len(set(costs[0].tolist())) == 20
    np.testing.assert_allclose(*costs, rtol=1e-5)


@pytest.mark.parametrize("name", STEPS)
def test_every_barrier_of_a_step_is_needed(name: str) -> None:
    """Without any one of them, threads race: some only where numbers aren't finite."""
    unseen = []
    n = 0
    for number, one in enumerate(recorded_step(name).launches):
        lines = one.kernel.text.split("\n")
        for k, line in enumerate(lines):
            if line.strip().startswith("bar.sync"):
                n += 1
                text = "\n".join([*lines[:k], "", *lines[k + 1 :]])
                runs = (rerun(one, text, spoilt) for spoilt in (False, True))
                if not any(f.kind == "race" for run in runs for f in run.faults):
                    unseen.append(f"launch {number}, {one.kernel.name}, line {k + 1}")
    assert n >= 48
    assert unseen == []


# --- larger nets ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("floats", TOLERANCE)
@pytest.mark.parametrize("workload", ["W4@10", "W5@2", "W6@2", "W7@1"])
def test_steps_of_larger_nets(workload: str, floats: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of many channels, with padding and strides; batch normalisation, dropout and
    Adam. Faults of two steps. With Adam only the first cost is compared: its first step is as long
    for a gradient that is all rounding as for others. In W6 the second costs of two instruction
    sets of the CPU differ by 2e-4."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])
    from benchmarks.job import Job
    from benchmarks.ours import Steps

    costs = []
    observer = Observer()
    with device(PtxGpu(observer)):
        for name in ("ptx", "cpu"):
            steps: Any = Steps(Job("ours", "call", 1, workload, name), floats)
            images = steps._workload.batch
            data = np.random.default_rng(5).random((images, 784), np.float32)
            steps.load(data, np.arange(images) % 10)
            costs.append(np.concatenate([steps.run(1), steps.run(1)]))
    assert list(map(str, observer.faults)) == []
    n = 2 if workload == "W4@10" else 1
    np.testing.assert_allclose(costs[0][:n], costs[1][:n], rtol=TOLERANCE[floats])
