"""Sorting along an axis: the order is a kernel's, the rest is picked by it.

Every sort is stable: equal elements keep their order. NaN comes after all numbers, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import INTEGERS, TensorType, check_dtype
from tinygrad_mnist.graph.values import axis_number, choice, flag, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import cast, le, maximum, minimum, neq, sub
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.kernels import define_kernel
from tinygrad_mnist.ops.positions import take_along
from tinygrad_mnist.ops.require import require
from tinygrad_mnist.ops.shape import as_integer_scalar, flatten, length, reshape

_KINDS = ("quicksort", "mergesort", "heapsort", "stable")


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [types[0].with_dtype("int64")]


# x of any dtype -> int64, like x; params axis
ARGSORT = define_kernel("argsort", _infer, shown="axis")


def _sortable(x: Any, axis: Any) -> tuple[Variable, int]:
    """The array to sort, flattened if the axis is None, and the number of the axis."""
    variable = as_variable(x)
    if axis is None:
        return flatten(variable), 0
    return variable, axis_number(axis, variable.ndim)


def _check_options(kind: str, order: Any) -> None:
    choice(kind, _KINDS, "kind")
    if order is not None:
        raise ArgumentError(f"order is {shown(order)}; arrays have no fields to sort by")


@api_function
def argsort(a: Any, axis: int | None = -1, kind: str = "quicksort", order: None = None) -> Variable:
    """The indices, int64, that put the elements of `a` along `axis` (None: of the flattened array)
    into ascending order.

    kind: a name that NumPy has; every kind is stable. order: None. Raises GraphTypeError,
    ArgumentError.
    """
    _check_options(kind, order)
    variable, at = _sortable(a, axis)
    return ARGSORT(variable, axis=at)


@api_function
def sort(a: Any, axis: int | None = -1, kind: str = "quicksort", order: None = None) -> Variable:
    """The elements of `a` in ascending order along `axis` (None: of the flattened array); see
    `argsort`. The gradient of a result goes to the element that it is."""
    _check_options(kind, order)
    variable, at = _sortable(a, axis)
    return take_along(variable, ARGSORT(variable, axis=at), at)


# --- the greatest -------------------------------------------------------------------------------


def _greatest(x: Variable, kth: Any, at: int) -> Variable:
    """The indices of the |kth| greatest elements along an axis, or least if kth is negative, in
    descending order of the elements."""
    k = cast(as_integer_scalar(kth, "kth"), "int64")
    count = maximum(k, -k)
    indices = ARGSORT(x, axis=at)
    indices = require(indices, neq(k, 0), "topk: kth is 0; it is the number of elements")
    indices = require(indices, le(count, length(x, at)), f"topk: axis {at} is shorter than kth")
    before = (slice(None),) * at
    descending = indices[*before, ::-1]
    return descending[*before, minimum(k, 0) :][*before, :count]


@api_function
def topk_and_argtopk(
    x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64"
) -> tuple[Variable, Variable]:
    """The `kth` greatest elements along `axis` (None: of the flattened array), and their indices.

    kth: an int or an integer scalar of the host, not 0; if it is negative, the |kth| least
    elements. Both come in descending order of the elements, whatever `sorted` is; NaN counts as
    greater than all numbers. idx_dtype: of the indices. Raises GraphTypeError, ArgumentError, also
    when a function is called with a shorter axis.
    """
    flag(sorted, "sorted")
    if check_dtype(idx_dtype) not in INTEGERS:
        raise GraphTypeError(f"idx_dtype is {idx_dtype}; indices are integers")
    variable, at = _sortable(x, axis)
    indices = _greatest(variable, kth, at)
    return take_along(variable, indices, at), cast(indices, idx_dtype)


def topk(
    x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64"
) -> Variable:
    """The elements of `topk_and_argtopk`."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[0]


def argtopk(
    x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64"
) -> Variable:
    """The indices of `topk_and_argtopk`."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[1]


# --- sorted vectors -----------------------------------------------------------------------------


@api_function
def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None) -> Variable:
    """Where the elements of `v` are to be inserted into the sorted vector `x`: int64, in the shape
    of `v`.

    side: 'left' for a place before equal elements, 'right' for one after them. sorter: the indices
    that sort `x`, if it isn't sorted.
    """
    vector, values = as_variable(x), as_variable(v)
    if vector.ndim != 1:
        raise GraphTypeError(f"searchsorted takes a vector, not {vector.type}")
    is_left = choice(side, ("left", "right"), "side") == "left"
    if sorter is not None:
        vector = take_along(vector, as_variable(sorter), 0)
    # A value's rank among both less its rank among the values is the number of x before it.
    flat = flatten(values)
    n = length(flat, 0)
    both = concatenate([flat, vector] if is_left else [vector, flat])
    ranks = inverse_permutation(ARGSORT(both, axis=0))
    ranks = ranks[:n] if is_left else ranks[length(vector, 0) :]
    own = inverse_permutation(ARGSORT(flat, axis=0))
    return reshape(sub(ranks, own), [length(values, i) for i in range(values.ndim)])


# --- permutations -------------------------------------------------------------------------------


def inverse_permutation(perm: Any) -> Variable:
    """The permutation that undoes each row of `perm`: `perm[inverse_permutation(perm)]` is 0, 1,
    2, ... It has the dtype of `perm`."""
    variable = as_variable(perm)
    if variable.dtype not in INTEGERS or variable.ndim == 0:
        raise GraphTypeError(f"a permutation is a vector of integers or more, not {variable.type}")
    return cast(ARGSORT(variable, axis=variable.ndim - 1), variable.dtype)


def permute_row_elements(x: Any, y: Any, inverse: int = 0) -> Variable:
    """`x` with the elements of its last axis in the order that `y` gives: a vector, or a
    permutation per row. inverse: whether it is undone instead. Other axes broadcast."""
    elements, order = as_variable(x), as_variable(y)
    if order.dtype not in INTEGERS or 0 in (order.ndim, elements.ndim):
        raise GraphTypeError(
            f"permute_row_elements takes an array and integers, not {elements.type}, {order.type}"
        )
    if flag(inverse, "inverse"):
        order = inverse_permutation(order)
    return take_along(elements, order, -1)
