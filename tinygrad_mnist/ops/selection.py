"""Elements that are chosen by their values: `nonzero`, `compress`, `unique`.

The length of the result depends on data, so NumPy finds the indices on the host: see
`compile/cuts.py`. The elements themselves are gathered by the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, Params
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.op import as_variable, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import TensorType, tensor_type
from tinygrad_mnist.graph.values import flag
from tinygrad_mnist.graph.variables import Op, Variable
from tinygrad_mnist.ops.index import take
from tinygrad_mnist.ops.join import stack
from tinygrad_mnist.ops.nonzero import NONZERO
from tinygrad_mnist.ops.shape import flatten

# --- nonzero ------------------------------------------------------------------------------------


@api_function
def nonzero(a: Any, return_matrix: bool = False) -> Variable | tuple[Variable, ...]:
    """The indices of the elements of `a` that are not 0, in C order: an int64 vector per axis, or
    with `return_matrix` one matrix (axes, elements).

    Raises ArgumentError for a scalar, which has no axes.
    """
    variable = as_variable(a)
    if variable.ndim == 0:
        raise ArgumentError(f"nonzero takes an array with axes, not a scalar{at(user_source())}")
    indices = NONZERO.node(variable).outputs
    return stack(list(indices)) if flag(return_matrix, "return_matrix") else indices


@api_function
def flatnonzero(a: Any) -> Variable:
    """The indices of the elements of the flattened `a` that are not 0: an int64 vector."""
    variable = as_variable(a)
    if variable.ndim == 0:
        raise ArgumentError(
            f"flatnonzero takes an array with axes, not a scalar{at(user_source())}"
        )
    return NONZERO(variable if variable.ndim == 1 else flatten(variable))


@api_function
def nonzero_values(a: Any) -> Variable:
    """The elements of `a` that are not 0, in C order: a vector."""
    variable = as_variable(a)
    return take(flatten(variable), flatnonzero(variable))


@api_function
def compress(condition: Any, x: Any, axis: int | None = None) -> Variable:
    """The elements of `x` along `axis` (None: of the flattened array) where the vector `condition`
    isn't 0. `condition` may be shorter than the axis; elements beyond it are left out."""
    return take(as_variable(x), flatnonzero(condition), axis)


# --- unique -------------------------------------------------------------------------------------


def _unique_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    indices = tensor_type("int64", (False,))
    return [tensor_type(types[0].dtype, (False,)), *[indices] * 3]


def _unique(params: Params, arrays: Sequence[Array]) -> Sequence[Array]:
    values, *others = np.unique(
        arrays[0], return_index=True, return_inverse=True, return_counts=True
    )
    return [values, *(v.reshape(-1) for v in others)]


# an array -> its different values in order, the index of the first of each in the flattened array,
# the number of the value of each element, how often each comes
_UNIQUE = register_op(Op("unique", _unique_infer, None, host=_unique))


def unique(
    x: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False
) -> Variable | list[Variable]:
    """The different elements of `x` in ascending order, as `numpy.unique` has them; no gradient
    passes.

    With the flags, a list that has further int64 vectors in this order: the index in the flattened
    `x` of the first element with each value; the number of the value of each element; how often
    each value comes.
    """
    values, *others = _UNIQUE.node(as_variable(x)).outputs
    flags = zip(
        (return_index, return_inverse, return_counts),
        ("return_index", "return_inverse", "return_counts"),
        others,
        strict=True,
    )
    wanted = [v for given, name, v in flags if flag(given, name)]
    return [values, *wanted] if wanted else values


class Unique:
    """`unique` as Theano's op: `Unique(return_counts=True)(x)`."""

    def __init__(
        self,
        return_index: bool = False,
        return_inverse: bool = False,
        return_counts: bool = False,
    ) -> None:
        self._flags = (return_index, return_inverse, return_counts)

    def __call__(self, x: Any) -> Variable | list[Variable]:
        return unique(x, *self._flags)
