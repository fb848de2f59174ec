from __future__ import annotations

import numpy as np
import pytest

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.keras.utils import set_random_seed
from tinygrad_mnist.tutorials import TUTORIALS, decaying, tutorial_net

PARAMETERS = {
    "convnet": 34_826,
    "convnet-old": 1_199_882,
    "deep": 3_113_930,
    "fashion-dense": 101_770,
    "fashion": 243_786,
    "softmax": 7_850,
}


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_parameters_are_those_of_the_texts(name: str, parameters: int) -> None:
    assert tutorial_net(name).count_params() == parameters


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_model_learns(name: str) -> None:
    """Twenty images by heart: the loss falls from its first value, which is about log(10)."""
    set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 28, 28, 1), np.float32), np.arange(20) % 10
    model = tutorial_net(name)
    assert model.output_shape == (None, 10)
    costs = [model.train_on_batch(x, y)[0] for _ in range(12)]
    assert 1.5 < costs[0] < 7
    assert min(costs[-3:]) < costs[0]


def test_rates() -> None:
    rate = TUTORIALS["batch-norm"].rate_of
    assert rate is not None
    assert [rate(epoch) for epoch in (0, 2)] == [0.01, 0.01 * 0.666**2]
    assert decaying(0.6)(1) == 0.006
    assert [type(c).__name__ for c in TUTORIALS["strided"].callbacks()] == ["LearningRateScheduler"]
    assert TUTORIALS["convnet"].callbacks() == []


def test_unknown_name() -> None:
    with pytest.raises(ArgumentError, match="no model 'convnets'; there are convnet, "):
        tutorial_net("convnets")
