"""A cost that becomes NaN or infinite stops training, and says where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays, small_fc

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import NonFiniteCostError
from tinygrad_mnist.network3 import FullyConnectedLayer, Network, SoftmaxLayer, share_data
from tinygrad_mnist.sharedvalue import shared
from tinygrad_mnist.training.nonfinite import check_costs
from tinygrad_mnist.training.schedule import annealed


def data() -> list[Any]:
    return share_data(arrays((40, 8, 8)))


def relu_net() -> Network:
    return Network([FullyConnectedLayer(12, 7, "relu"), SoftmaxLayer(7, 5)], 4, seed=1)


def test_training_stops_at_the_end_of_the_sweep() -> None:
    training, validation, test = data()
    net = relu_net()
    with pytest.raises(NonFiniteCostError) as caught:
        net.SGD(training, 3, 4, 1e30, validation, test, quiet=True)
    costs = net.history.costs
    assert len(costs) == 10  # the sweep of the first epoch, and no other
    step = int(np.flatnonzero(~np.isfinite(costs))[0])
    assert f"at step {step} (epoch 0, mini-batch {step}) with a learning rate of 1e+30" in str(
        caught.value
    )
    assert "is layer 0 (FullyConnectedLayer): its " in str(caught.value)
    assert net.history.epochs == 0
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_an_option_goes_on() -> None:
    training, validation, test = data()
    history = relu_net().SGD(
        training, 2, 4, 1e30, validation, test, quiet=True, allow_nonfinite=True
    )
    assert history.epochs == 2
    assert np.isnan(history.costs[-1])


def test_the_option_has_to_be_named() -> None:
    training, validation, test = data()
    with pytest.raises(TypeError, match="positional arguments"):
        small_fc().SGD(training, 1, 4, 0.1, validation, test, 0.0, None, False, True)  # type: ignore[misc]


def test_later_epochs_are_counted() -> None:
    costs = np.ones(7)
    costs[3:] = np.inf
    layers = small_fc().layers
    with pytest.raises(NonFiniteCostError, match=r"inf at step 23 \(epoch 2, mini-batch 3"):
        check_costs(costs, 20, 10, 0.5, layers)
    with pytest.raises(NonFiniteCostError, match="of all layers are finite, so the cost itself"):
        check_costs(costs, 20, 10, 0.5, layers)
    check_costs(costs[:3], 20, 10, 0.5, layers)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("param", ["w", "b"])
def test_the_first_layer_that_is_not_finite_is_named(number: int, param: str) -> None:
    layers = small_fc().layers
    for layer in layers[number:]:
        variable = getattr(layer, param)
        value = variable.get_value()
        value.flat[-1] = np.nan
        variable.set_value(value)
    kind = type(layers[number]).__name__
    with pytest.raises(NonFiniteCostError, match=rf"is layer {number} \({kind}\): its .*{param}"):
        check_costs(np.array([np.nan]), 0, 10, 0.5, layers)


def test_symbolic_rates_are_reported_and_not_advanced() -> None:
    layers = small_fc().layers
    rate = shared(np.float32(0.25))
    with pytest.raises(NonFiniteCostError, match=r"with a learning rate of 0\.5"):
        check_costs(np.array([np.nan]), 0, 10, T.cast(rate * 2, "floatX"), layers)
    peak = annealed(8.0, 100)
    for _ in range(2):
        with pytest.raises(NonFiniteCostError, match="with a learning rate of 0;"):
            check_costs(np.array([np.nan]), 0, 10, peak, layers)


def test_standard_output_is_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    training, validation, test = data()
    with pytest.raises(NonFiniteCostError):
        relu_net().SGD(training, 1, 4, 1e30, validation, test)
    assert capsys.readouterr().out == "Training mini-batch number 0\n"
