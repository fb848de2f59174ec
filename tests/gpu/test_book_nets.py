"""The machine code of the book's networks: every kernel of their steps, made without a GPU."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from helpers.gpu import CAPABILITIES
from helpers.gpu_cases.case import DOUBLE, LOCAL
from helpers.gpu_plans import plan_of, planning_for_cuda

from tinygrad_mnist import network3
from tinygrad_mnist.backends.cuda.design import Capability, Design, design_plan
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.models import book_net

pytestmark = pytest.mark.compile

BATCH = 10
NETS = ("fc", "conv1", "conv2-relu", "dropout")
#: All nets for the newest generation; for the others the step of one that has most of the kernels.
TRIED = [
    *((name, CAPABILITIES[-1]) for name in NETS),
    *(("conv2-relu", capability) for capability in CAPABILITIES[:-1]),
]


@cache
def plans(name: str) -> list[Plan]:
    """Of a step of training; of one net also of the accuracy on validation data and of predictions,
    whose kernels are much the same in all."""
    rng = np.random.default_rng(0)
    with planning_for_cuda():
        (data,) = network3.share_data([(rng.random((100, 784)), rng.integers(0, 10, 100))])
        net = book_net(name, BATCH, seed=0)
        functions = [net.network.training_function(data, net.recipe.eta, net.recipe.lmbda)]
        if name == "conv2-relu":
            functions.append(net.network._accuracy_function(data, "accuracy"))
            functions.append(net.network._prediction_function(data))
        return [plan_of(function, 0) for function in functions]


def designs(name: str, capability: Capability) -> list[Design]:
    """Those of a net that no net before it has."""
    before = {
        design
        for other, generation in TRIED[: TRIED.index((name, capability))]
        if generation == capability
        for plan in plans(other)
        for design in _designs(plan, capability)
    }
    wanted = plans(name) if capability == CAPABILITIES[-1] else plans(name)[:1]
    mine = dict.fromkeys(d for plan in wanted for d in _designs(plan, capability))
    return [design for design in mine if design not in before]


def _designs(plan: Plan, capability: Capability) -> list[Design]:
    return [designed.design for designed in design_plan(plan, capability)]


@pytest.mark.parametrize(
    ("name", "capability"), TRIED, ids=lambda v: v if isinstance(v, str) else f"sm_{v[0]}{v[1]}"
)
def test_machine_code(name: str, capability: Capability) -> None:
    """No registers in memory, and no float64 in kernels without an operand of it."""
    from helpers.gpu_code import opcodes

    from tinygrad_mnist.backends.cuda.code import machine_code
    from tinygrad_mnist.backends.cuda.workers import compile_codes

    codes = machine_code(designs(name, capability), compile_codes)
    assert codes
    for design, code in codes.items():
        doubles = any(operand.dtype == "float64" for operand in design.operands)
        forbidden = LOCAL if doubles else (*LOCAL, *DOUBLE)
        for kernel in code.kernels:
            found = opcodes(kernel.cubin)
            assert found, design
            assert kernel.stack == 0, design
            assert not sorted(o for o in found if o.startswith(forbidden)), (found, design)
