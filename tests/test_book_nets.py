"""The book's networks in their real sizes: plans, and costs on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_mnist import config, network3
from tinygrad_mnist.booknets import RECIPES, book_net
from tinygrad_mnist.functions import Function

BATCH, IMAGES, STEPS = 10, 100, 50


def train_mb(name: str) -> Function:
    """The training step of a book net, on images of noise, which have no ties."""
    rng = np.random.default_rng(5)
    images, labels = rng.random((IMAGES, 784)), rng.integers(0, 10, IMAGES)
    (data,) = network3.share_data([(images, labels)])
    net = book_net(name, BATCH, seed=3)
    return net.network.training_function(data, net.recipe.eta, net.recipe.lmbda)


@pytest.mark.parametrize("name", RECIPES)
def test_first_costs_agree_on_both_backends(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", "float64")
    costs = {}
    for device in ("reference", "cpu"):
        monkeypatch.setattr(config, "device", device)
        costs[device] = train_mb(name).sweep([i % (IMAGES // BATCH) for i in range(STEPS)])
    assert np.isfinite(costs["cpu"]).all()
    assert len(set(costs["cpu"].tolist())) == STEPS
    np.testing.assert_allclose(costs["cpu"], costs["reference"], rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "most"),
    [("fc", 12), ("conv1", 16), ("conv2", 20), ("conv2-relu", 24), ("dropout", 34)],
)
def test_a_step_takes_few_kernel_calls(
    name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "device", "cpu")
    step = train_mb(name)
    step(0)
    assert len(step.plan.calls) <= most
