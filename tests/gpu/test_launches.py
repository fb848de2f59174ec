"""How many launches a step has on a GPU, and how many of them wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.conv2_relu import conv2_relu_step, weights
from helpers.gpu_plans import plan_of, planning_for_cuda

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import network3
from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.backends.cuda.simulator import SimulatedGpu
from tinygrad_mnist.booknets import book_net
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.tensor.nnet import bn, categorical_crossentropy, conv2d, relu, softmax
from tinygrad_mnist.tensor.signal import pool

pytestmark = pytest.mark.sim
BATCH = 10


def book(name: str) -> Plan:
    """A step of one of the book's networks."""
    rng = np.random.default_rng(0)
    (data,) = network3.share_data([(rng.random((100, 784)), rng.integers(0, 10, 100))])
    net = book_net(name, BATCH, seed=0)
    return plan_of(net.network.training_function(data, net.recipe.eta, net.recipe.lmbda), 0)


def batch_normalised() -> Plan:
    """A convolution and a layer, each with batch normalisation and moving averages, with L2."""
    rng = np.random.default_rng(1)
    w = [weights(rng, "w", *shape) for shape in ((16, 1, 3, 3), (3136, 64), (64, 10))]
    gammas, betas = ([weights(rng, name, n) for n in (16, 64)] for name in ("gamma", "beta"))
    bias = weights(rng, "b", 10)
    moving = [weights(rng, "m", *shape) for shape in ((1, 16, 1, 1), (1, 64)) for _ in range(2)]
    x, y = T.ftensor4("x"), T.ivector("y")
    averages: list[Any] = []

    def normalised(z: Any, layer: int, axes: str) -> Any:
        pattern = ("x", 0, "x", "x") if z.ndim == 4 else ("x", 0)
        gamma, beta = (v[layer].dimshuffle(*pattern) for v in (gammas, betas))
        running = dict(zip(("running_mean", "running_var"), moving[2 * layer :], strict=False))
        result, _, _, *new = bn.batch_normalization_train(z, gamma, beta, axes=axes, **running)
        averages.extend(new)
        return relu(result)

    h = normalised(conv2d(x, w[0], border_mode="half"), 0, "spatial")
    h = pool.pool_2d(h, (2, 2), ignore_border=True).flatten(2)
    h = normalised(T.dot(h, w[1]), 1, "per-activation")
    cost = categorical_crossentropy(softmax(T.dot(h, w[2]) + bias), y).mean()
    cost = cost + 0.01 * sum((v**2).sum() for v in w)
    params = [*w, *gammas, *betas, bias]
    updates = [(p, p - 0.1 * g) for p, g in zip(params, T.grad(cost, params), strict=True)]
    step = theano.function([x, y], cost, updates=[*updates, *zip(moving, averages, strict=True)])
    return plan_of(step, np.zeros((BATCH, 1, 28, 28), "float32"), np.zeros(BATCH, "int32"))


# Launches, and those in the longest chain in which each waits for the one before.
STEPS: dict[str, tuple[Callable[[], Plan], int, int]] = {
    "fc": (lambda: book("fc"), 7, 4),
    "conv1": (lambda: book("conv1"), 10, 5),
    "conv2-relu": (lambda: book("conv2-relu"), 15, 7),
    "conv2-relu in Theano's words": (lambda: plan_of(conv2_relu_step(), 0), 15, 7),
    "dropout": (lambda: book("dropout"), 26, 13),
    "batch normalisation": (batch_normalised, 28, 13),
}


@pytest.mark.parametrize(("make", "launches", "depth"), STEPS.values(), ids=STEPS)
def test_launches_of_a_step(make: Callable[[], Plan], launches: int, depth: int) -> None:
    with planning_for_cuda():
        plan = make()
    loaded = SimulatedGpu().load([c.design for c in design_plan(plan, (9, 0))])
    counts = [len(one.kernels) for one in loaded]
    ends: list[int] = []
    for before, count in zip(plan.depends, counts, strict=True):
        ends.append(count + max((ends[k] for k in before), default=0))
    assert (sum(counts), max(ends)) == (launches, depth)
