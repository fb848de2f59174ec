"""Designs of calls for a GPU: nothing in them that the machine code doesn't depend on."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.gpu_plans import plan_of, planning_for_cuda

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import config
from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.backends.cuda.operands import Operand

pytestmark = pytest.mark.compile
CAPABILITY = (9, 0)


def operands(n: int, offset: int = 0) -> list[Operand]:
    """Those of `exp(w[offset:] + x)`, w shared and x an input that a sweep may stack, n long."""
    with planning_for_cuda():
        x = T.vector("x")
        w = theano.shared(np.ones(n + offset, np.float32))
        plan = plan_of(theano.function([x], T.exp(w[offset:] + x)), np.ones(n, np.float32))
    [call] = design_plan(plan, CAPABILITY)
    return list(call.design.operands)


@pytest.mark.parametrize(("n", "alignment"), [(64, 16), (4, 16), (6, 8), (7, 4), (1, 4), (0, 16)])
def test_a_stacked_array_is_as_aligned_as_its_steps(n: int, alignment: int) -> None:
    """Step k begins k arrays behind the first: 16-byte access needs a multiple of 16 bytes."""
    found = {operand.alignment for operand in operands(n)}
    assert found == {16, alignment}  # the shared variable doesn't move


@pytest.mark.parametrize(("offset", "alignment"), [(1, 4), (2, 8), (4, 16), (64, 16)])
def test_no_alignment_beyond_the_widest_access(offset: int, alignment: int) -> None:
    """So arrays at 64, 128 and 256 bytes share their code."""
    assert sorted(o.alignment for o in operands(64, offset)) == sorted([16, 16, alignment])


def test_tf32_is_part_of_products_alone() -> None:
    config.allow_tf32 = True
    with planning_for_cuda():
        x = T.matrix("x")
        plan = plan_of(
            theano.function([x], T.nnet.softmax(T.dot(x, x))), np.ones((4, 4), np.float32)
        )
    allowed = {c.design.kernel: c.design.allow_tf32 for c in design_plan(plan, CAPABILITY)}
    assert allowed == {"gemm": True, "softmax": False}
