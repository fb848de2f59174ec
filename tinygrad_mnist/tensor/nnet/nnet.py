"""Theano's `tensor.nnet.nnet`: softmaxes with a bias, their cross-entropies, and activations."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.activation import elu, relu, selu, softsign
from tinygrad_mnist.ops.creation import arange
from tinygrad_mnist.ops.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    crossentropy_categorical_1hot,
    sigmoid_binary_crossentropy,
)
from tinygrad_mnist.ops.elementwise import add, cast, eq, int_div, mod, mul, sigmoid, softplus
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.linalg import dot, tensordot
from tinygrad_mnist.ops.reduce import argmax, max_and_argmax, sum_
from tinygrad_mnist.ops.selection import unique
from tinygrad_mnist.ops.shape import alloc, dimshuffle, flatten, length, reshape
from tinygrad_mnist.ops.softmax import log_softmax, softmax

logsoftmax = log_softmax
softmax_op, logsoftmax_op = softmax, log_softmax


def _matrix(x: Any, name: str) -> Variable:
    variable = as_variable(x)
    if variable.ndim != 2:
        raise GraphTypeError(f"{name} has to be a matrix; it is {variable.type}")
    return variable


def _vector(x: Any, name: str) -> Variable:
    variable = as_variable(x)
    if variable.ndim != 1:
        raise GraphTypeError(f"{name} has to be a vector; it is {variable.type}")
    return variable


def _biased(x: Any, b: Any) -> Variable:
    return add(_matrix(x, "x"), _vector(b, "b"))


def softmax_graph(c: Any) -> Variable:
    """`softmax` over the last axis; in Theano, the form that is differentiated twice."""
    return softmax(c)


def softmax_with_bias(x: Any, b: Any) -> Variable:
    """`softmax(x + b)` over the rows of a matrix, with a vector of biases."""
    return softmax(_biased(x, b))


# --- cross-entropies of a softmax -----------------------------------------------------------------


def crossentropy_softmax_1hot(x: Any, y_idx: Any) -> tuple[Variable, Variable]:
    """The cross-entropy of each row of `softmax(x)` with its class, and the softmax.

    x: a matrix. y_idx: a vector of integers, the class of each row. Raises GraphTypeError.
    """
    probabilities = softmax(_matrix(x, "x"))
    return crossentropy_categorical_1hot(probabilities, y_idx), probabilities


def crossentropy_softmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Variable, Variable]:
    """`crossentropy_softmax_1hot(x + b, y_idx)`, with a vector of biases."""
    return crossentropy_softmax_1hot(_biased(x, b), y_idx)


def crossentropy_softmax_argmax_1hot_with_bias(
    x: Any, b: Any, y_idx: Any
) -> tuple[Variable, Variable, Variable]:
    """The results of `crossentropy_softmax_1hot_with_bias` and the likeliest class of each row, in
    the dtype of `y_idx`."""
    scores, classes = _biased(x, b), as_variable(y_idx)
    cost, probabilities = crossentropy_softmax_1hot(scores, classes)
    return cost, probabilities, cast(argmax(scores, axis=1), classes.dtype)


def crossentropy_softmax_max_and_argmax_1hot(
    x: Any, y_idx: Any
) -> tuple[Variable, Variable, Variable, Variable]:
    """The results of `crossentropy_softmax_1hot`, the largest probability of each row, and its
    class."""
    cost, probabilities = crossentropy_softmax_1hot(x, y_idx)
    return (cost, probabilities, *max_and_argmax(probabilities, axis=1))


def crossentropy_softmax_max_and_argmax_1hot_with_bias(
    x: Any, b: Any, y_idx: Any
) -> tuple[Variable, Variable, Variable, Variable]:
    """`crossentropy_softmax_max_and_argmax_1hot(x + b, y_idx)`, with a vector of biases."""
    return crossentropy_softmax_max_and_argmax_1hot(_biased(x, b), y_idx)


# --- a softmax in two levels ----------------------------------------------------------------------


def h_softmax(
    x: Any,
    batch_size: Any,
    n_outputs: Any,
    n_classes: Any,
    n_outputs_per_class: Any,
    W1: Any,  # noqa: N803
    b1: Any,
    W2: Any,  # noqa: N803
    b2: Any,
    target: Any = None,
) -> Variable:
    """A softmax over classes, times a softmax over the outputs of a class: output j is number
    j % n_outputs_per_class of class j // n_outputs_per_class.

    x (batch, features); W1 (features, classes), b1 (classes,); W2 (classes, features, outputs per
    class), b2 (classes, outputs per class). n_classes * n_outputs_per_class is at least n_outputs.
    target: an integer vector, an output for each row.

    Returns the probability of each row's target, (batch,); without a target those of all outputs,
    (batch, n_outputs). Raises GraphTypeError, ShapeError.
    """
    rows, weights, biases = _matrix(x, "x"), as_variable(W2), _matrix(b2, "b2")
    if weights.ndim != 3:
        raise GraphTypeError(f"W2 has to have three dimensions; it is {weights.type}")
    of_classes = softmax(add(dot(rows, _matrix(W1, "W1")), _vector(b1, "b1")))
    if target is None:
        scores = add(tensordot(rows, weights, [[1], [1]]), biases)
        shares = softmax(reshape(scores, [batch_size, n_classes, n_outputs_per_class]))
        of_all = mul(dimshuffle(of_classes, 0, 1, "x"), shares)
        return reshape(of_all, [batch_size, -1])[:, :n_outputs]
    targets = flatten(as_variable(target))
    numbers = arange(batch_size)
    classes = int_div(targets, n_outputs_per_class)
    products = mul(dimshuffle(rows, 0, 1, "x"), weights[classes])
    shares = softmax(add(sum_(products, axis=1), biases[classes]))
    within = shares[numbers, mod(targets, n_outputs_per_class)]
    return mul(of_classes[numbers, classes], within)


# --- a column in front of a matrix ----------------------------------------------------------------


def prepend_scalar_to_each_row(val: Any, mat: Any) -> Variable:
    """The matrix with a first column filled with `val`, a scalar."""
    matrix, scalar = _matrix(mat, "mat"), as_variable(val)
    if scalar.ndim != 0:
        raise GraphTypeError(f"val has to be a scalar; it is {scalar.type}")
    return concatenate([alloc(cast(scalar, matrix.dtype), length(matrix, 0), 1), matrix], axis=1)


def prepend_1_to_each_row(mat: Any) -> Variable:
    """The matrix with a first column of ones."""
    return prepend_scalar_to_each_row(1, mat)


def prepend_0_to_each_row(mat: Any) -> Variable:
    """The matrix with a first column of zeros."""
    return prepend_scalar_to_each_row(0, mat)


def confusion_matrix(actual: Any, pred: Any) -> list[Variable]:
    """How often each class is predicted as each: the matrix (actual classes, predicted ones), and
    the classes that come in either vector, in ascending order.

    actual, pred: vectors of integers. The number of classes depends on data: see `T.nonzero`.
    """
    right, found = _vector(actual, "actual"), _vector(pred, "pred")
    classes = unique(concatenate([right, found]))
    assert isinstance(classes, Variable)
    is_right, is_found = (
        cast(eq(dimshuffle(v, 0, "x"), dimshuffle(classes, "x", 0)), "int64")
        for v in (right, found)
    )
    return [dot(dimshuffle(is_right, 1, 0), is_found), classes]


__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "confusion_matrix",
    "crossentropy_categorical_1hot",
    "crossentropy_softmax_1hot",
    "crossentropy_softmax_1hot_with_bias",
    "crossentropy_softmax_argmax_1hot_with_bias",
    "crossentropy_softmax_max_and_argmax_1hot",
    "crossentropy_softmax_max_and_argmax_1hot_with_bias",
    "elu",
    "h_softmax",
    "log_softmax",
    "logsoftmax",
    "logsoftmax_op",
    "prepend_0_to_each_row",
    "prepend_1_to_each_row",
    "prepend_scalar_to_each_row",
    "relu",
    "selu",
    "sigmoid",
    "sigmoid_binary_crossentropy",
    "softmax",
    "softmax_graph",
    "softmax_op",
    "softmax_with_bias",
    "softplus",
    "softsign",
]
