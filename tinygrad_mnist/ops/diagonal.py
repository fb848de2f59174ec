"""Diagonals and triangles of matrices, and rows with a single one.

An offset k names the diagonal where column - row = k: above the main one if it is positive. It is
an int or an integer scalar of the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable, constant
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import INTEGERS
from tinygrad_mnist.graph.values import axis_numbers
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.creation import arange, zeros
from tinygrad_mnist.ops.elementwise import cast, eq, ge, maximum, minimum, switch
from tinygrad_mnist.ops.index import set_subtensor
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.shape import as_integer_scalar, dimshuffle, length

# --- reading ------------------------------------------------------------------------------------


@api_function
def diagonal(a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The diagonals of the matrices that `axis1` (rows) and `axis2` (columns) of `a` make. They are
    the last axis of the result."""
    variable = as_variable(a)
    if variable.ndim < 2:
        raise GraphTypeError(f"diagonal takes at least two axes, not {variable.type}")
    both = axis_numbers((axis1, axis2), variable.ndim)
    rest = [axis for axis in range(variable.ndim) if axis not in both]
    moved = dimshuffle(variable, *both, *rest)
    picked = moved[_diagonal(length(moved, 0), length(moved, 1), offset)]
    return dimshuffle(picked, *range(1, picked.ndim), 0)


def _diagonal(rows: Variable, columns: Variable, offset: Any) -> tuple[Variable, Variable]:
    """The rows and the columns of the elements of a diagonal."""
    right, down = _parts(offset)
    count = maximum(minimum(rows - down, columns - right), 0)
    indices = arange(count)
    return indices + down, indices + right


def _parts(offset: Any) -> tuple[Variable, Variable]:
    """How far to the right and how far below the main diagonal a diagonal begins; one is 0."""
    k = cast(as_integer_scalar(offset, "the offset of a diagonal"), "int64")
    return maximum(k, 0), maximum(-k, 0)


@api_function
def trace(a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The sum of each diagonal; see `diagonal`."""
    return sum_(diagonal(a, offset, axis1, axis2), axis=-1)


def diag(v: Any, k: Any = 0) -> Variable:
    """Diagonal k of a matrix, or of the first two axes of an array; or of a vector, the square
    matrix that has it as its diagonal k."""
    x = as_variable(v)
    if x.ndim == 0:
        raise GraphTypeError(f"diag takes a vector or a matrix, not {x.type}")
    return AllocDiag(k)(x) if x.ndim == 1 else diagonal(x, k)


# --- making -------------------------------------------------------------------------------------


def AllocDiag(  # noqa: N802
    offset: Any = 0, axis1: int = 0, axis2: int = 1
) -> Callable[[Any], Variable]:
    """The function that makes matrices of their diagonals, the last axis of its argument: square
    ones, zero elsewhere. Their rows are axis `axis1` of the result, their columns `axis2`."""

    def apply(diag: Any) -> Variable:
        x = as_variable(diag)
        if x.ndim == 0:
            raise GraphTypeError(f"AllocDiag takes a vector or more axes, not {x.type}")
        rows, columns = axis_numbers((axis1, axis2), x.ndim + 1)
        square = _on_diagonal(x, offset)
        order = list(range(x.ndim - 1))
        for to, axis in sorted([(rows, x.ndim - 1), (columns, x.ndim)]):
            order.insert(to, axis)
        return dimshuffle(square, *order)

    return apply


def _on_diagonal(x: Variable, offset: Any) -> Variable:
    """The matrices with the last axis of `x` as their diagonal, as the last two axes."""
    n = length(x, x.ndim - 1)
    if isinstance(offset, int) and offset == 0:
        indices = arange(n)
        is_diagonal = eq(dimshuffle(indices, 0, "x"), dimshuffle(indices, "x", 0))
        return switch(is_diagonal, dimshuffle(x, *range(x.ndim - 1), "x", x.ndim - 1), _zero(x))
    right, down = _parts(offset)
    side = n + right + down
    lengths = [length(x, axis) for axis in range(x.ndim - 1)]
    indices = arange(n)
    nothing = zeros([*lengths, side, side], x.dtype)
    return set_subtensor(nothing[..., indices + down, indices + right], x)


def fill_diagonal(a: Any, val: Any) -> Variable:
    """`a` with the number `val` wherever all indices are equal. `a` has at least two axes; more
    than two must be equally long."""
    variable, value = as_variable(a), _scalar(val)
    if variable.ndim < 2:
        raise GraphTypeError(f"fill_diagonal takes at least two axes, not {variable.type}")
    shortest = length(variable, 0)
    for axis in range(1, variable.ndim):
        shortest = minimum(shortest, length(variable, axis))
    return set_subtensor(variable[(arange(shortest),) * variable.ndim], value)


def fill_diagonal_offset(a: Any, val: Any, offset: Any) -> Variable:
    """The matrix `a` with the number `val` on a diagonal."""
    variable, value = as_variable(a), _scalar(val)
    if variable.ndim != 2:
        raise GraphTypeError(f"fill_diagonal_offset takes a matrix, not {variable.type}")
    indices = _diagonal(length(variable, 0), length(variable, 1), offset)
    return set_subtensor(variable[indices], value)


def _scalar(val: Any) -> Variable:
    value = as_variable(val)
    if value.ndim:
        raise GraphTypeError(f"a diagonal is filled with a scalar, not with {value.type}")
    return value


# --- triangles ----------------------------------------------------------------------------------


def _is_below(rows: Any, columns: Any, k: Any) -> Variable:
    """Which elements of a matrix are on diagonal k or below."""
    diagonal_k = as_integer_scalar(k, "the diagonal k")
    return ge(dimshuffle(arange(rows), 0, "x") + diagonal_k, dimshuffle(arange(columns), "x", 0))


def tri(N: Any, M: Any = None, k: Any = 0, dtype: str | None = None) -> Variable:  # noqa: N803
    """A matrix (N, M), by default (N, N), of ones on diagonal k and below, zeros above; floatX, or
    `dtype`."""
    return cast(_is_below(N, N if M is None else M, k), "floatX" if dtype is None else dtype)


def tril(m: Any, k: Any = 0) -> Variable:
    """The matrices of the last two axes of `m` with zeros above diagonal k."""
    variable = _matrices(m, "tril")
    return switch(_is_below(*_last_lengths(variable), k), variable, _zero(variable))


def triu(m: Any, k: Any = 0) -> Variable:
    """The matrices of the last two axes of `m` with zeros below diagonal k."""
    variable = _matrices(m, "triu")
    below = as_integer_scalar(k, "the diagonal k") - 1
    return switch(_is_below(*_last_lengths(variable), below), _zero(variable), variable)


def _matrices(m: Any, name: str) -> Variable:
    variable = as_variable(m)
    if variable.ndim < 2:
        raise GraphTypeError(f"{name} takes at least two axes, not {variable.type}")
    return variable


def _zero(x: Variable) -> Variable:
    """0 in the dtype of `x`; beside unsigned integers and bools a Python number has another."""
    return constant(0, x.dtype)


def _last_lengths(x: Variable) -> tuple[Variable, Variable]:
    return length(x, x.ndim - 2), length(x, x.ndim - 1)


# --- one-hot ------------------------------------------------------------------------------------


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
