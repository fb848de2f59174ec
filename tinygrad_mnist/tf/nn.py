"""`tf.nn`: activations of symbolic variables, which give variables, and of arrays.

`activation=tf.nn.relu` in a layer is the same as `activation="relu"`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_mnist.functions import Function, function
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras import activations
from tinygrad_mnist.keras.tensors import tensor
from tinygrad_mnist.tf.operation import operation


@functools.lru_cache(maxsize=64)
def _compiled(name: str, dtype: str, ndim: int, options: tuple[tuple[str, Any], ...]) -> Function:
    """The activation as a function of an array."""
    x = TensorType(dtype, (False,) * ndim)("x")
    return function([x], getattr(activations, name)(x, **dict(options)))


def _activation(name: str, renamed: dict[str, str] | None = None) -> Callable[..., Any]:
    """An activation of `keras.activations`. renamed: TensorFlow's names of its options."""
    names = renamed or {}

    def own(options: dict[str, Any]) -> dict[str, Any]:
        return {names.get(key, key): value for key, value in options.items() if value is not None}

    def symbolic(features: Variable, *others: Any, **options: Any) -> Any:
        return getattr(activations, name)(features, *others, **own(options))

    def plain(features: Any, *others: Any, **options: Any) -> Any:
        if others:
            options.update(zip(names or ("axis",), others, strict=False))
        x = np.asarray(tensor(features))
        chosen = own(options)
        if x.ndim == 1 and "softmax" in name:  # which needs rows
            return plain(x[None], **options)[0]
        call = _compiled(name, x.dtype.name, x.ndim, tuple(sorted(chosen.items())))
        return np.asarray(call(np.ascontiguousarray(x)))

    plain.__name__ = plain.__qualname__ = name
    plain.__doc__ = getattr(activations, name).__doc__
    made = operation(symbolic)(plain)
    # By this `keras.activations.get` finds the activation, and a layer its place in the plan.
    vars(made)["of_variables"] = getattr(activations, name)
    return made


relu = _activation("relu")
relu6 = _activation("relu6")
leaky_relu = _activation("leaky_relu", {"alpha": "negative_slope"})
elu = _activation("elu")
selu = _activation("selu")
gelu = _activation("gelu", {"approximate": "approximate"})
silu = swish = _activation("silu")
sigmoid = _activation("sigmoid")
tanh = _activation("tanh")
softplus = _activation("softplus")
softsign = _activation("softsign")
softmax = _activation("softmax")
log_softmax = _activation("log_softmax")

__all__ = [
    "elu",
    "gelu",
    "leaky_relu",
    "log_softmax",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]
