"""Diagonals of matrices, and rows with a single one."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.types import INTEGERS
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.creation import arange, zeros
from tinygrad_mnist.ops.elementwise import eq, minimum, switch
from tinygrad_mnist.ops.index import set_subtensor
from tinygrad_mnist.ops.shape import dimshuffle, length


def diag(v: Any) -> Variable:
    """The diagonal of a matrix; or of a vector, the square matrix that has it as its diagonal."""
    x = as_variable(v)
    if x.ndim == 1:
        indices = arange(length(x, 0))
        is_diagonal = eq(dimshuffle(indices, 0, "x"), dimshuffle(indices, "x", 0))
        return switch(is_diagonal, dimshuffle(x, "x", 0), 0)
    if x.ndim != 2:
        raise GraphTypeError(f"diag takes a vector or a matrix, not {x.type}")
    indices = arange(minimum(length(x, 0), length(x, 1)))
    return x[indices, indices]


def to_one_hot(y: Any, nb_class: Any, dtype: str | None = None) -> Variable:
    """A matrix with a row per element of the integer vector `y`: a one in the column with that
    number, zeros elsewhere; floatX, or `dtype`.

    nb_class: the number of columns, an int or an integer scalar. An element out of range is an
    IndexOutOfRangeError.
    """
    labels = as_variable(y)
    if labels.ndim != 1 or labels.dtype not in INTEGERS:
        raise GraphTypeError(f"to_one_hot takes a vector of integers, not {labels.type}")
    rows = length(labels, 0)
    return set_subtensor(zeros((rows, nb_class), dtype)[arange(rows), labels], 1)
