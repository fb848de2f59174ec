"""Cross-entropies. They are stable for a softmax or a sigmoid, as every expression is
(docs/stability.md)."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.creation import arange
from tinygrad_mnist.ops.elementwise import log, softplus
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.shape import length


def binary_crossentropy(output: Any, target: Any) -> Variable:
    """-(target * log(output) + (1 - target) * log(1 - output)), element by element.

    output: probabilities; for `sigmoid(z)` value and gradient stay finite however large z is.
    target: the wanted probabilities, 0 to 1.
    """
    p, t = as_variable(output), as_variable(target)
    return -(t * log(p) + (1 - t) * log(1 - p))


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Variable:
    """`binary_crossentropy(sigmoid(output), target)`."""
    z, t = as_variable(output), as_variable(target)
    return t * softplus(-z) + (1 - t) * softplus(z)


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Variable:
    """The cross-entropy of each row, in nats: the true distribution coded by `coding_dist`.

    coding_dist: a matrix, probabilities in rows; or an array with these along its last axis. For a
    `softmax` value and gradient stay finite. true_dist: integers, the class of each row; or an
    array like coding_dist, and the result is the sum of -true_dist * log(coding_dist) over the last
    axis.

    Raises GraphTypeError where the numbers of axes don't fit.
    """
    coding, true = as_variable(coding_dist), as_variable(true_dist)
    if coding.ndim == true.ndim and coding.ndim:
        return -sum_(true * log(coding), axis=coding.ndim - 1)
    if coding.ndim == 2 and true.ndim == 1:
        return crossentropy_categorical_1hot(coding, true)
    raise GraphTypeError(
        "categorical_crossentropy takes a matrix with a vector of classes, or two arrays with as "
        f"many axes, not {coding.type} with {true.type}"
    )


def crossentropy_categorical_1hot(coding_dist: Any, true_one_of_n: Any) -> Variable:
    """-log of each row's probability for its class.

    coding_dist: a matrix, probabilities in rows. true_one_of_n: a vector of integers, the class of
    each row. Raises GraphTypeError.
    """
    coding, true = as_variable(coding_dist), as_variable(true_one_of_n)
    if (coding.ndim, true.ndim) != (2, 1):
        raise GraphTypeError(
            "crossentropy_categorical_1hot takes a matrix with a vector of classes, not "
            f"{coding.type} with {true.type}"
        )
    return -log(coding)[arange(length(coding, 0)), true]
