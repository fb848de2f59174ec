"""`constant` and `as_tensor_variable`: variables made of numbers and arrays."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph import op
from tinygrad_mnist.graph.types import check_dtype
from tinygrad_mnist.graph.values import check_name, integer
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import settle_constants
from tinygrad_mnist.ops.shape import dimshuffle

_MOST_DIMENSIONS = 64  # that NumPy's arrays have


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
        if not value.ndim <= ndim <= _MOST_DIMENSIONS:
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
    extra = 0 if ndim is None else variable.ndim - integer(ndim, "ndim", 0)
    if not extra:
        return variable
    return dimshuffle(variable, *("x",) * -extra, *range(max(extra, 0), variable.ndim))


__all__ = ["as_tensor_variable", "constant"]
