"""`keras.activations`: functions of variables or arrays, by name or as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi, sqrt
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import axis_number, number
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.identifiers import find
from tinygrad_mnist.keras.tensors import of_arrays
from tinygrad_mnist.tensor import nnet

Activation = Callable[..., Any]


@of_arrays
def linear(x: Any) -> Variable:
    """x itself."""
    return T.as_tensor_variable(x)


@of_arrays
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Variable:
    """x from `threshold` on, at most `max_value`; below, negative_slope * (x - threshold)."""
    z = T.as_tensor_variable(x)
    slope, start = number(negative_slope, "negative_slope"), number(threshold, "threshold")
    if start == 0 and slope and max_value is None:
        return T.switch(T.gt(z, 0), z, slope * z)  # as TensorFlow, with the lower slope at 0
    y = nnet.relu(z) if start == 0 else T.switch(T.gt(z, start), z, T.zeros_like(z))
    if max_value is not None:
        y = T.minimum(y, number(max_value, "max_value"))
    if slope and (start != 0 or max_value is not None):
        y = y - slope * nnet.relu(start - z)
    return y


@of_arrays
def relu6(x: Any) -> Variable:
    """x clipped to [0, 6]."""
    return relu(x, max_value=6.0)


@of_arrays
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Variable:
    """x where it is positive, negative_slope * x elsewhere."""
    return relu(x, negative_slope)


@of_arrays
def elu(x: Any, alpha: float = 1.0) -> Variable:
    """x where it is positive, alpha * (exp(x) - 1) elsewhere."""
    return nnet.elu(T.as_tensor_variable(x), number(alpha, "alpha"))


@of_arrays
def selu(x: Any) -> Variable:
    """`elu`, scaled so that activations tend to mean 0 and variance 1."""
    return nnet.selu(x)


@of_arrays
def gelu(x: Any, approximate: bool = False) -> Variable:
    """x times the normal distribution's probability of a number below x; `approximate` computes it
    by a tanh."""
    z = T.as_tensor_variable(x)
    if approximate:
        return 0.5 * z * (1.0 + T.tanh(sqrt(2 / pi) * (z + 0.044715 * z * z * z)))
    return 0.5 * z * T.erfc(-sqrt(0.5) * z)


@of_arrays
def silu(x: Any) -> Variable:
    """x * sigmoid(x)."""
    z = T.as_tensor_variable(x)
    return z * nnet.sigmoid(z)


@of_arrays
def sigmoid(x: Any) -> Variable:
    """1 / (1 + exp(-x))."""
    return nnet.sigmoid(x)


@of_arrays
def hard_sigmoid(x: Any) -> Variable:
    """x / 6 + 0.5, clipped to [0, 1]; Theano's has another slope."""
    return T.clip(T.as_tensor_variable(x) + 3.0, 0.0, 6.0) * (1 / 6)


@of_arrays
def softplus(x: Any) -> Variable:
    """log(1 + exp(x))."""
    return nnet.softplus(x)


@of_arrays
def softsign(x: Any) -> Variable:
    """x / (1 + |x|)."""
    return nnet.softsign(x)


@of_arrays
def tanh(x: Any) -> Variable:
    """The hyperbolic tangent."""
    return T.tanh(x)


@of_arrays
def exponential(x: Any) -> Variable:
    """exp(x)."""
    return T.exp(x)


@of_arrays
def softmax(x: Any, axis: int = -1) -> Variable:
    """exp(x) divided by its sum along an axis. Raises GraphTypeError for less than two axes."""
    return _along_last(nnet.softmax, x, axis)


@of_arrays
def log_softmax(x: Any, axis: int = -1) -> Variable:
    """The logarithm of `softmax`."""
    return _along_last(nnet.logsoftmax, x, axis)


def _along_last(function: Callable[[Variable], Variable], x: Any, axis: int) -> Variable:
    z = T.as_tensor_variable(x)
    moved = axis_number(axis, z.ndim)
    order = [a for a in range(z.ndim) if a != moved] + [moved]
    if order == list(range(z.ndim)):
        return function(z)
    return function(z.dimshuffle(*order)).dimshuffle(*(order.index(a) for a in range(z.ndim)))


_TABLE: dict[str, Activation] = {
    "linear": linear,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "swish": silu,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softplus": softplus,
    "softsign": softsign,
    "tanh": tanh,
    "exponential": exponential,
}
swish = silu
# They compute each element by itself, so any order of the axes will do.
ELEMENTWISE = frozenset(_TABLE.values()) - {softmax, log_softmax}


def get(identifier: Any) -> Activation:
    """An activation: by its name; any function of a variable as it is; `linear` for None.

    Raises GraphTypeError and ArgumentError, which list the names.
    """
    if identifier is None:
        return linear
    if callable(identifier):  # `tf.nn`'s functions take arrays too, and say which these are
        return getattr(identifier, "of_variables", identifier)  # type: ignore[no-any-return]
    if isinstance(identifier, Mapping):
        raise ArgumentError(f"an activation is a name or a function, not {dict(identifier)}")
    return find(identifier, _TABLE, "activation")  # type: ignore[no-any-return]


def serialize(activation: Activation) -> str:
    """The name of an activation; of a function that is none of this module's, its own name."""
    for name, function in _TABLE.items():
        if function is activation:
            return name
    return getattr(activation, "__name__", type(activation).__name__)


def deserialize(name: str, custom_objects: Mapping[str, Any] | None = None) -> Activation:
    """The activation of this name; `custom_objects` has the user's own functions by name."""
    if custom_objects and name in custom_objects:
        return get(custom_objects[name])
    return get(name)
