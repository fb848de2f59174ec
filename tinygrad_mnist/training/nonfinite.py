"""What is reported when a training step's cost becomes NaN or infinite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import NonFiniteCostError
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.training.layers import params_of


def check_costs(
    costs: NDArray[Any], first: int, batches: int, eta: float | Variable, layers: Sequence[Any]
) -> None:
    """Raises NonFiniteCostError for the first cost that is NaN or infinite.

    costs: of the steps of one sweep. first: the number of its first step. batches: steps of an
    epoch. eta: the learning rate. The message names the step, the learning rate and the first layer
    that has a parameter which is not finite after the sweep.
    """
    wrong = np.flatnonzero(~np.isfinite(costs))
    if not wrong.size:
        return
    step = first + int(wrong[0])
    rate = eta
    if isinstance(eta, Variable):
        rate = float(function([], eta, no_default_updates=True, name="learning rate")())
    raise NonFiniteCostError(
        f"the cost is {costs[wrong[0]]} at step {step} (epoch {step // batches}, mini-batch"
        f" {step % batches}) with a learning rate of {rate:g}; {_first_layer(layers)}. A smaller"
        " learning rate may help; SGD(..., allow_nonfinite=True) trains on"
    )


def _first_layer(layers: Sequence[Any]) -> str:
    for number, layer in enumerate(layers):
        for param in params_of(layer):
            if not np.isfinite(param.get_value(borrow=True)).all():
                return (
                    f"the first layer that is not finite is layer {number}"
                    f" ({type(layer).__name__}): its {param.name or 'parameter'}"
                )
    return "the parameters of all layers are finite, so the cost itself overflows"
