"""The machine code of the book's networks: every kernel of their steps, made without a GPU."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from helpers.gpu import CAPABILITIES
from helpers.gpu_cases.case import DOUBLE, LOCAL
from helpers.gpu_plans import plan_of, planning_for_cuda

from tinygrad_mnist import network3
from tinygrad_mnist.backends.cuda.design import Design, design_plan
from tinygrad_mnist.booknets import book_net
from tinygrad_mnist.compile.plan import Plan

pytestmark = pytest.mark.compile

BATCH = 10
NETS = ("fc", "conv1", "conv2-relu", "dropout")


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


def designs(name: str) -> list[Design]:
    """Those of a net that no net before it has."""
    before = {d for other in NETS[: NETS.index(name)] for d in _designs(other)}
    return [design for design in dict.fromkeys(_designs(name)) if design not in before]


def _designs(name: str) -> list[Design]:
    return [d.design for plan in plans(name) for d in design_plan(plan, CAPABILITIES[-1])]


@pytest.mark.parametrize("name", NETS)
def test_machine_code(name: str) -> None:
    """No registers in memory, and no float64 in kernels without an operand of it."""
    from helpers.gpu_code import machine_code

    seen = set()
    for design, capability, code in machine_code(designs(name), CAPABILITIES):
        doubles = any(operand.dtype == "float64" for operand in design.operands)
        forbidden = LOCAL if doubles else (*LOCAL, *DOUBLE)
        assert code.compiled.stack == 0, (design, code)
        if capability == CAPABILITIES[-1]:  # what is float64 is so for all
            assert not sorted(o for o in code.opcodes() if o.startswith(forbidden)), (design, code)
        seen.add((design.kernel, capability))
    assert {("gemm", capability) for capability in CAPABILITIES} <= seen
