"""Reductions over axes: sum, prod, max, min, all, any, mean, var, std, argmax, argmin.

The ops keep the reduced axes with length 1, so that their gradients broadcast. The functions that
users call drop these axes unless `keepdims` is true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce as fold_left
from math import isinf
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.errors import ArgumentError, GraphTypeError, ShapeError
from tinygrad_mnist.graph.op import as_variable, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import BOOL, FLOATS, TensorType, compute_dtype
from tinygrad_mnist.graph.values import axis_numbers, flag, integer, number
from tinygrad_mnist.graph.variables import Node, Op, Variable, Vjp
from tinygrad_mnist.ops import infix, kernels
from tinygrad_mnist.ops.elementwise import (
    abs_,
    cast,
    eq,
    maximum,
    minimum,
    neq,
    pow_,
    sqr,
    sqrt,
    switch,
)
from tinygrad_mnist.ops.shape import broadcast_like, dimshuffle, length, reshape, shape

Axis = int | Sequence[int] | None
# (gradient of the result, result, x) -> gradient of x
Rule = Callable[[Variable, Variable, Variable], Variable]


def normalise_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Axes as sorted numbers from 0; None is all of them.

    Raises GraphTypeError for an axis that is no integer, out of range or named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(axis_numbers(axis, ndim)))


def reduced_type(params: Params, x: TensorType, dtype: str) -> TensorType:
    """The type of a reduction over params["axes"], which it keeps."""
    axes = params["axes"]
    broadcastable = tuple(b or i in axes for i, b in enumerate(x.broadcastable))
    lengths = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return TensorType(dtype, broadcastable, lengths)


# The kernel's operation where its name is not the op's: truth values are 0 and 1.
_KERNELS = {"all": "prod", "any": "sum"}


def _define(
    name: str,
    dtype_of: Callable[[str], str],
    vjp: Rule | None,
) -> Op:
    def infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
        (x,) = types
        if name in ("max", "min") and any(x.shape[a] == 0 for a in params["axes"]):
            raise ShapeError(f"the {name} of no elements: shape {x.shape}, axes {params['axes']}")
        return [reduced_type(params, x, dtype_of(x.dtype))]

    def reference(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        function = getattr(np, name)
        result = function(inputs[0].astype(outputs[0].dtype), axis=params["axes"], keepdims=True)
        return [np.asarray(result, outputs[0].dtype)]

    def lower(node: Node) -> list[Variable]:
        x, z = node.inputs[0], node.outputs[0]
        kernel = _KERNELS.get(name, name)
        return [kernels.plain_reduce(kernel, x, node.params["axes"], z.dtype)]

    return register_op(
        Op(
            name,
            infer,
            reference,
            vjp=_vjp_of_floats(vjp) if vjp else None,
            masked_vjp=_vjp_of_floats(_masked(vjp)) if vjp and name == "prod" else None,
            lower=lower,
            shown="axes",
            infix=infix.reduction,
        )
    )


def _masked(rule: Rule) -> Rule:
    """The rule with a result that is 0 wherever the gradient is."""
    return lambda g, z, x: switch(eq(g, 0), 0, rule(g, z, x))


def _vjp_of_floats(rule: Rule) -> Vjp:
    """The vjp by a rule `(g, result, x) -> gradient of x`; integers get none. With the parameter
    `shared`, the elements of x that equal the result get equal shares of g."""

    def vjp(node: Node, g: Variable) -> list[Variable | None]:
        (x,), z = node.inputs, node.outputs[0]
        if node.params.get("shared"):
            g = g / cast(_SUM(eq(x, z), axes=node.params["axes"]), g.dtype)
        return [None if x.type.is_discrete else cast(rule(g, z, x), x.dtype)]

    return vjp


_SUM = _define("sum", compute_dtype, lambda g, z, x: broadcast_like(g, x))


def _prod_vjp(g: Variable, z: Variable, x: Variable) -> Variable:
    """g times the product of the other elements, which a zero among these makes zero."""
    axes = tuple(i for i, reduced in enumerate(z.broadcastable) if reduced)
    zero = eq(x, 0)
    zeros = _SUM(zero, axes=axes)
    nonzero = switch(zero, 1, x)
    product = _PROD(nonzero, axes=axes)
    others = switch(eq(zeros, 0), product / nonzero, 0)
    return g * switch(zero, switch(eq(zeros, 1), product, 0), others)


_PROD = _define("prod", compute_dtype, _prod_vjp)
_MAX = _define("max", lambda dtype: dtype, lambda g, z, x: switch(eq(x, z), g, 0))
_MIN = _define("min", lambda dtype: dtype, lambda g, z, x: switch(eq(x, z), g, 0))


_ALL = _define("all", lambda dtype: BOOL, None)
_ANY = _define("any", lambda dtype: BOOL, None)


def _define_arg(name: str) -> Op:
    """The op for the index of an extreme element along params["axis"], which it keeps."""

    def infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
        (x,) = types
        if x.shape[params["axis"]] == 0:
            raise ShapeError(f"the {name} of no elements: shape {x.shape}, axis {params['axis']}")
        return [reduced_type({"axes": (params["axis"],)}, x, "int64")]

    return kernels.define_kernel(name, infer, shown="axis", infix=infix.reduction)


_ARGMAX = _define_arg("argmax")
_ARGMIN = _define_arg("argmin")


def _drop(kept: Variable, axes: tuple[int, ...], keepdims: bool) -> Variable:
    """Removes the reduced axes, unless they are to be kept."""
    if flag(keepdims, "keepdims"):
        return kept
    return dimshuffle(kept, *(i for i in range(kept.ndim) if i not in axes))


def _reduce(op: Op, x: Any, axis: Axis, keepdims: bool) -> Variable:
    variable = as_variable(x)
    axes = normalise_axes(axis, variable.ndim)
    return _drop(op(variable, axes=axes), axes, keepdims)


def _accumulate(
    op: Op, x: Any, axis: Axis, dtype: str | None, keepdims: bool, acc_dtype: str | None
) -> Variable:
    """A sum or product; integers are accumulated in int64 also where the result is narrower."""
    variable = as_variable(x)
    if acc_dtype is not None:
        result = compute_dtype(variable.dtype) if dtype is None else dtype
        return cast(_reduce(op, cast(variable, acc_dtype), axis, keepdims), result)
    if dtype is None:
        return _reduce(op, variable, axis, keepdims)
    return cast(_reduce(op, cast(variable, dtype), axis, keepdims), dtype)


@api_function
def sum_(
    input: Any,
    axis: Axis = None,
    dtype: str | None = None,
    keepdims: bool = False,
    acc_dtype: str | None = None,
) -> Variable:
    """The sum over `axis` (None: all); of integers and bool it is int64, or `dtype`. acc_dtype: in
    which it is added up, by default that of the result."""
    return _accumulate(_SUM, input, axis, dtype, keepdims, acc_dtype)


@api_function
def prod(
    input: Any,
    axis: Axis = None,
    dtype: str | None = None,
    keepdims: bool = False,
    acc_dtype: str | None = None,
    no_zeros_in_input: bool = False,
) -> Variable:
    """The product over `axis` (None: all); of integers and bool it is int64, or `dtype`. acc_dtype:
    in which it is multiplied, by default that of the result. The gradient is right where elements
    are 0, whatever `no_zeros_in_input` is."""
    flag(no_zeros_in_input, "no_zeros_in_input")
    return _accumulate(_PROD, input, axis, dtype, keepdims, acc_dtype)


@api_function
def max_(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The maximum over `axis` (None: all); every element equal to it gets the whole gradient."""
    return _reduce(_MAX, x, axis, keepdims)


def max_shared(x: Variable, axis: Axis) -> Variable:
    """The maximum over `axis` (None: all); those equal to it get equal shares of the gradient."""
    axes = normalise_axes(axis, x.ndim)
    return _drop(_MAX(x, axes=axes, shared=True), axes, False)


@api_function
def min_(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The minimum over `axis` (None: all); every element equal to it gets the whole gradient."""
    return _reduce(_MIN, x, axis, keepdims)


def _truth(x: Any) -> Variable:
    variable = as_variable(x)
    return variable if variable.dtype == BOOL else neq(variable, 0)


@api_function
def all_(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Whether all elements over `axis` (None: all) are true, that is, not 0; true of none."""
    return _reduce(_ALL, _truth(x), axis, keepdims)


@api_function
def any_(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Whether some element over `axis` (None: all) is true, that is, not 0; false of none."""
    return _reduce(_ANY, _truth(x), axis, keepdims)


def _as_float(x: Any) -> Variable:
    """`x` as a float: integers and bool become float64."""
    variable = as_variable(x)
    return variable if variable.dtype in FLOATS else cast(variable, "float64")


def _count(x: Variable, axes: Sequence[int]) -> Variable:
    """The number of elements over these axes, an integer scalar."""
    lengths = shape(x)
    count: Variable = as_variable(1)
    for a in axes:
        count = count * lengths[a]
    return count


@api_function
def mean(
    input: Any,
    axis: Axis = None,
    dtype: str | None = None,
    op: bool = False,
    keepdims: bool = False,
    acc_dtype: str | None = None,
) -> Variable:
    """The mean over `axis` (None: all); of integers and bool it is float64, or `dtype`, a float
    dtype. acc_dtype: in which it is added up and divided, by default that of the result.
    op: how Theano computes it; it has no effect."""
    variable = _as_float(input) if dtype is None else cast(input, dtype)
    if variable.dtype not in FLOATS:
        raise GraphTypeError(f"a mean is a float; it can't be {variable.dtype}")
    if acc_dtype is not None:
        return cast(mean(input, axis, acc_dtype, keepdims=keepdims), variable.dtype)
    axes = normalise_axes(axis, variable.ndim)
    total = _SUM(variable, axes=axes)
    return _drop(total, axes, keepdims) / cast(_count(variable, axes), variable.dtype)


@api_function
def var(
    input: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
) -> Variable:
    """The variance over `axis` (None: all): squared distances from the mean, added up and divided
    by the number of elements less `ddof`; of integers and bool it is float64.

    corrected: subtracts the error that rounding of the mean adds.
    """
    variable = _as_float(input)
    axes = normalise_axes(axis, variable.ndim)
    distance = variable - mean(variable, axis=axes, keepdims=True)
    total = _SUM(sqr(distance), axes=axes)
    count = _count(variable, axes)
    if flag(corrected, "corrected"):
        total = total - sqr(_SUM(distance, axes=axes)) / cast(count, variable.dtype)
    return _drop(total, axes, keepdims) / cast(count - integer(ddof, "ddof"), variable.dtype)


@api_function
def std(
    input: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
) -> Variable:
    """The standard deviation over `axis` (None: all), the square root of `var`."""
    return sqrt(var(input, axis, ddof, keepdims, corrected))


def _index_of(op: Op, x: Any, axis: Axis, keepdims: bool) -> Variable:
    """The index of an extreme; several axes count as one, in C order."""
    variable = as_variable(x)
    axes = normalise_axes(axis, variable.ndim)
    if len(axes) == 1:
        return _drop(op(variable, axis=axes[0]), axes, keepdims)
    rest = [i for i in range(variable.ndim) if i not in axes]
    lengths = [length(variable, i) for i in rest]
    joined = reshape(dimshuffle(variable, *rest, *axes), [*lengths, _count(variable, axes)])
    index = _drop(op(joined, axis=len(rest)), (len(rest),), False)
    if not flag(keepdims, "keepdims"):
        return index
    return dimshuffle(index, *("x" if i in axes else rest.index(i) for i in range(variable.ndim)))


@api_function
def argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The index of the maximum over `axis`, int64; the first of equal ones. Over several axes, or
    all (None), it counts their elements in C order."""
    return _index_of(_ARGMAX, x, axis, keepdims)


@api_function
def argmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The index of the minimum over `axis`, int64; the first of equal ones. Over several axes, or
    all (None), it counts their elements in C order."""
    return _index_of(_ARGMIN, x, axis, keepdims)


def max_and_argmax(a: Any, axis: Axis = None, keepdims: bool = False) -> tuple[Variable, Variable]:
    """The maximum over `axis` (None: all) and its index: `max` and `argmax`."""
    return max_(a, axis, keepdims), argmax(a, axis, keepdims)


# --- composed of extremes and sums --------------------------------------------------------------


@api_function
def ptp(a: Any, axis: int | None = None) -> Variable:
    """The maximum over `axis` (None: all) less the minimum."""
    return max_(a, axis) - min_(a, axis)


def smallest(*args: Any) -> Variable:
    """The least of several arrays, element by element; NaN where one is."""
    return _of_several(minimum, args, "smallest")


def largest(*args: Any) -> Variable:
    """The greatest of several arrays, element by element; NaN where one is."""
    return _of_several(maximum, args, "largest")


def _of_several(function: Callable[..., Variable], args: Sequence[Any], name: str) -> Variable:
    if not args:
        raise ArgumentError(f"{name} takes at least one array")
    return fold_left(function, args[1:], as_variable(args[0]))


@api_function
def norm(x: Any, L: Any, axis: Axis = None, keepdims: bool = False) -> Variable:  # noqa: N803
    """The L-norm over `axis` (None: all): (sum of abs(x) ** L) ** (1 / L). For an infinite L it is
    the greatest magnitude, for L = 0 the number of elements that aren't 0."""
    order, size = number(L, "L of norm"), abs_(_as_float(x))
    if isinf(order):
        return (max_ if order > 0 else min_)(size, axis, keepdims)
    if order == 0:
        return cast(sum_(neq(size, 0), axis, keepdims=keepdims), size.dtype)
    if order == 1:
        return sum_(size, axis, keepdims=keepdims)
    if order == 2:
        return sqrt(sum_(sqr(size), axis, keepdims=keepdims))
    return pow_(sum_(pow_(size, order), axis, keepdims=keepdims), 1 / order)
