"""The kernels' PTX, run and checked on the processor: values, and whether anything is wrong.

Two cases of every kernel run in the suite; all others are marked as slow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.gpu_cases import CASES, Case
from helpers.native import assert_near, expect
from helpers.ptx_step import device, recorded_step, rerun

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import config
from tinygrad_mnist.backends.ptx.gpu import PtxGpu
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.errors import IndexOutOfRangeError

pytestmark = pytest.mark.ptx
PER_KERNEL = 2


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


def test_a_step_has_the_costs_of_the_processor() -> None:
    step = recorded_step()
    np.testing.assert_allclose(step.costs, step.wanted, rtol=1e-5)


def test_a_step_has_no_faults() -> None:
    assert list(map(str, recorded_step().observer.faults)) == []


# Products in which every thread adds up what it computed itself, before others do: launches of the
# step by number, and how many of their barriers order nothing.
SUPERFLUOUS = {"8 gemm": 1}


def test_every_barrier_of_a_step_is_needed() -> None:
    """Without any one of them, threads race: some only where numbers aren't finite."""
    unseen: dict[str, int] = {}
    n = 0
    for number, one in enumerate(recorded_step().launches):
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


def test_functions_run_on_the_device() -> None:
    """Shared variables stay there from call to call; a failed check changes nothing."""
    results = []
    for name in ("ptx", "cpu"):
        config.device = name
        w = theano.shared(np.ones((4, 3), np.float32))
        labels, i = T.ivector("labels"), T.lscalar("i")
        step = theano.function([labels, i], w[labels].sum(), updates=[(w, w + T.exp(w[i]) / 8)])
        costs = [step([0, 3], 1), *step.sweep(np.array([[1, 2], [3, 3]]), np.array([0, 1]))]
        with pytest.raises(IndexOutOfRangeError):
            step([0, 4], 1)
        results.append((np.array(costs), w.get_value()))
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
