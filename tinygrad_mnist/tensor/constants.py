"""`constant` and `as_tensor_variable`: variables made of numbers and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph import op
from tinygrad_mnist.graph.fold import computed_constant
from tinygrad_mnist.graph.match import made_by
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import check_dtype
from tinygrad_mnist.graph.values import MOST_DIMENSIONS, check_name, flag, integer
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import settle_constants
from tinygrad_mnist.ops.shape import dimshuffle


def constant(
    x: Any, dtype: str | None = None, name: str | None = None, ndim: int | None = None
) -> Constant:
    """A constant of a number, an array or a nested list.

    dtype: of the constant. By default a Python float is floatX, a Python int the narrowest integer
    that holds it, and an array keeps its dtype. ndim: adds axes in front, which broadcast, up to
    this number. Raises TypeError for what is no such value, or has more axes than `ndim`.
    """
    check_name(name)
    (made,) = settle_constants([op.as_variable(x)])
    if not isinstance(made, Constant):
        raise GraphTypeError(f"constant takes a number or an array, not the variable {made}")
    value = made.value if dtype is None else op.constant(x, check_dtype(dtype)).value
    if ndim is not None:
        ndim = integer(ndim, "ndim")
        if not value.ndim <= ndim <= MOST_DIMENSIONS:
            raise ArgumentError(f"a constant of {value.ndim} dimensions can't have ndim={ndim}")
        value = value.reshape((1,) * (ndim - value.ndim) + value.shape)
    return Constant(value, name=name)


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> Variable:
    """`x` itself if it is a variable, the stack of a list that holds variables, else a constant;
    see `constant`.

    ndim: adds axes in front, which broadcast, up to this number, or drops such axes. Raises
    GraphTypeError where others would have to be dropped.
    """
    check_name(name)
    if not op.has_variables(x):
        return constant(x, name=name, ndim=ndim)
    variable = op.as_variable(x)
    if variable is not x:
        variable.name = name
    wanted = variable.ndim if ndim is None else integer(ndim, "ndim", 0)
    if wanted > MOST_DIMENSIONS:
        raise ArgumentError(f"ndim is {wanted}; arrays have at most {MOST_DIMENSIONS} dimensions")
    extra = variable.ndim - wanted
    if not extra:
        return variable
    return dimshuffle(variable, *("x",) * -extra, *range(max(extra, 0), variable.ndim))


class NotScalarConstantError(ArgumentError):
    """A variable is not known to be one number."""


class EmptyConstantError(NotScalarConstantError):
    """A constant has no elements."""


# Ops whose result is filled with the number that fills their first input.
_KEEP_NUMBER = ("alloc", "reshape", "rebroadcast", "specify_shape")


@api_function
def get_scalar_constant_value(
    v: Any, elemwise: bool = True, only_process_constants: bool = False
) -> Any:
    """The number, a 0-d array, that a variable is known to be, or to be filled with.

    elemwise: whether arithmetic on constants is computed. only_process_constants: whether only
    numbers, arrays and constants are looked at. Raises NotScalarConstantError for any other
    variable, EmptyConstantError for an array without elements.
    """
    variable = op.as_variable(v)
    is_followed = not flag(only_process_constants, "only_process_constants")
    while is_followed and (node := made_by(variable, *_KEEP_NUMBER)) is not None:
        variable = node.inputs[0]
    is_computed = flag(elemwise, "elemwise") and is_followed
    if isinstance(variable, Constant):
        value = variable.value
    elif (known := _known_length(variable)) is not None:
        value = np.asarray(known)
    elif is_computed and (computed := computed_constant(variable)) is not None:
        value = computed
    else:
        raise NotScalarConstantError(f"{variable} is not known before a function computes it")
    if value.size == 0:
        raise EmptyConstantError(f"{variable} has no elements")
    first = np.array(value.flat[0])
    if not np.array_equal(value, np.broadcast_to(first, value.shape), equal_nan=True):
        raise NotScalarConstantError(f"{variable} has different elements")
    return first


def _known_length(variable: Variable) -> int | None:
    """The number that `x.shape[i]` is where the type of `x` says it."""
    node = made_by(variable, "subtensor")
    source = None if node is None else made_by(node.inputs[0], "shape")
    if node is None or source is None or node.params["index"] != (("index",),):
        return None
    index = node.inputs[1]
    shape = source.inputs[0].type.shape
    if not isinstance(index, Constant) or not -len(shape) <= int(index.value) < len(shape):
        return None
    return shape[int(index.value)]


def extract_constant(x: Any, elemwise: bool = True, only_process_constants: bool = False) -> Any:
    """`get_scalar_constant_value` of `x`, or `x` itself where its value is not known."""
    try:
        return get_scalar_constant_value(x, elemwise, only_process_constants)
    except NotScalarConstantError:
        return x


def get_vector_length(v: Any) -> int:
    """The length of a vector whose type says it, such as `x.shape`.

    Raises GraphTypeError for what is no vector, ArgumentError where the length is not known.
    """
    vector = op.as_variable(v) if not isinstance(v, list | tuple) else None
    if vector is None:
        return len(v)
    if vector.ndim != 1:
        raise GraphTypeError(f"get_vector_length takes a vector, not {vector.type}")
    (n,) = vector.type.shape
    if n is None:
        raise ArgumentError(f"the length of {vector} is not known before a function is called")
    return n


__all__ = [
    "EmptyConstantError",
    "NotScalarConstantError",
    "as_tensor_variable",
    "constant",
    "extract_constant",
    "get_scalar_constant_value",
    "get_vector_length",
]
