"""Activation functions of layers, by name or as callables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.values import choice, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor import nnet

Activation = Callable[[Variable], Variable]


def linear(z: Variable) -> Variable:
    """The identity, as an activation function."""
    return z


def ReLU(z: Variable) -> Variable:  # noqa: N802
    """max(0, z), elementwise; at z = 0 the gradient is 0."""
    return T.maximum(0.0, z)


#: The names that a layer's `activation_fn` accepts, in any case.
ACTIVATIONS: dict[str, Activation] = {
    "linear": linear,
    "sigmoid": nnet.sigmoid,
    "tanh": T.tanh,
    "relu": ReLU,
    "softplus": nnet.softplus,
    "softmax": nnet.softmax,
    "elu": nnet.elu,
    "selu": nnet.selu,
    "hard_sigmoid": nnet.hard_sigmoid,
}


def activation(given: Any) -> Activation:
    """The activation function that a user means: a callable, a name, or None, which is `linear`.

    Raises TypeError or ValueError, naming the argument.
    """
    if given is None:
        return linear
    if isinstance(given, str):
        name = given if given.lower() not in ACTIVATIONS else given.lower()
        return ACTIVATIONS[choice(name, ACTIVATIONS, "activation_fn")]
    if isinstance(given, Variable) or not callable(given):
        raise TypeError(f"activation_fn is {shown(given)}; it must be a function, a name or None")
    return given  # type: ignore[no-any-return]


def activated(activation_fn: Activation, z: Variable) -> Variable:
    """activation_fn(z). Raises TypeError where that is not a variable with the dimensions of z."""
    output = activation_fn(z)
    if not isinstance(output, Variable) or output.ndim != z.ndim:
        name = getattr(activation_fn, "__name__", str(activation_fn))
        raise TypeError(
            f"activation_fn {name} gives {shown(output)} for a variable with {z.ndim} dimensions;"
            " it must give a variable with as many"
        )
    return output
