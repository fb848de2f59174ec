"""Arrays made of a shape and a number: zeros, full, eye, arange, zeros_like and similar.

None of them costs memory if it is only read: a filled array is one number with strides of 0, and a
range that depends only on integers is a constant of the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array, Params
from tinygrad_mnist.errors import ArgumentError, GraphTypeError, ShapeError
from tinygrad_mnist.graph.op import OPS, as_variable, constant, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.source import error_context, user_source
from tinygrad_mnist.graph.types import (
    BOOL,
    FLOATS,
    TensorType,
    check_dtype,
    check_size,
    static_type,
    tensor_type,
    upcast,
)
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.graph.variables import Constant, HostValues, Node, Op, Variable
from tinygrad_mnist.ops import infix
from tinygrad_mnist.ops.elementwise import abs_, cast, eq, mul, settle_constants, switch
from tinygrad_mnist.ops.shape import (
    alloc,
    as_integer_scalar,
    broadcast_like,
    dimshuffle,
    length,
    shape_scalars,
    static_reshape,
)


def _dtype(dtype: str | None) -> str:
    return check_dtype(config.floatX if dtype is None else dtype)


# --- filled -----------------------------------------------------------------------------------


def full(shape: Any, fill_value: Any, dtype: str | None = None) -> Variable:
    """`fill_value` broadcast to a shape of ints and integer scalars, in its dtype or another; a
    Python float is floatX, a Python int is int64, as NumPy's `full` has it."""
    value = as_variable(fill_value)
    if isinstance(fill_value, int) and not isinstance(fill_value, bool):
        value = constant(fill_value, "int64")
    return alloc(value if dtype is None else cast(value, dtype), *shape_scalars(shape))


def zeros(shape: Any, dtype: str | None = None) -> Variable:
    """Zeros in a shape of ints and integer scalars; floatX, or `dtype`."""
    return alloc(constant(0, _dtype(dtype)), *shape_scalars(shape))


def ones(shape: Any, dtype: str | None = None) -> Variable:
    """Ones in a shape of ints and integer scalars; floatX, or `dtype`."""
    return alloc(constant(1, _dtype(dtype)), *shape_scalars(shape))


def full_like(model: Any, fill_value: Any, dtype: str | None = None) -> Variable:
    """`fill_value`, a scalar, in the shape of `model`, in its dtype or another."""
    variable = as_variable(model)
    value = as_variable(fill_value)
    if value.ndim:
        raise GraphTypeError(f"full_like fills with a scalar, not with {value.type}")
    return broadcast_like(cast(value, variable.dtype if dtype is None else dtype), variable)


@api_function
def zeros_like(model: Any, dtype: str | None = None, opt: bool = False) -> Variable:
    """Zeros in the shape of `model`, in its dtype or another. opt: how Theano builds them; it has
    no effect."""
    return full_like(model, 0, dtype)


@api_function
def ones_like(model: Any, dtype: str | None = None, opt: bool = False) -> Variable:
    """Ones in the shape of `model`, in its dtype or another. opt: how Theano builds them; it has no
    effect."""
    return full_like(model, 1, dtype)


@api_function
def fill(model: Any, value: Any) -> Variable:
    """`value` broadcast to the shape of `model`. Its dtype stays; a Python float is floatX, a
    Python int the narrowest integer that holds it."""
    variable, (filling,) = as_variable(model), settle_constants([as_variable(value)])
    if filling.ndim > variable.ndim:
        raise GraphTypeError(f"{filling.type} can't fill {variable.type}: it has more dimensions")
    return broadcast_like(filling, variable)


# --- the identity -----------------------------------------------------------------------------


def eye(n: Any, m: Any = None, k: Any = 0, dtype: str | None = None) -> Variable:
    """A matrix (n, m), by default (n, n), of zeros with ones where column - row = k.

    All three are ints or integer scalars; the dtype is floatX, or `dtype`.
    """
    rows = dimshuffle(arange(n), 0, "x")
    columns = dimshuffle(arange(n if m is None else m), "x", 0)
    return cast(eq(rows + as_integer_scalar(k, "the diagonal of eye"), columns), _dtype(dtype))


def identity_like(x: Any) -> Variable:
    """The identity in the shape and dtype of a matrix."""
    variable = as_variable(x)
    if variable.ndim != 2:
        raise GraphTypeError(f"identity_like takes a matrix, not {variable.type}")
    return eye(length(variable, 0), length(variable, 1), dtype=variable.dtype)


# --- ranges -----------------------------------------------------------------------------------


def _arange_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [tensor_type(params["dtype"], (False,))]


def _arange_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    start, stop, step = (host.by_value(n) for n in node.inputs)
    if step == 0:
        raise ShapeError("the step of arange is 0")
    count = max(0, -((start - stop) // step))
    check_size(static_type(node.params["dtype"], (count,), (False,)))
    values = Constant(np.arange(start, stop, step, dtype=node.params["dtype"]))
    return [static_reshape(values, values.type.static_shape, (False,))]


_ARANGE = register_op(
    Op(
        "arange",
        _arange_infer,
        None,
        n_connected=0,
        specialise=_arange_specialise,
        infix=infix.arange,
    )
)


def _float_arange(params: Params, arrays: Sequence[Array]) -> list[Array]:
    start, stop, step = (a.item() for a in arrays)
    if step == 0:
        raise ShapeError("the step of arange is 0")
    return [np.arange(start, stop, step).astype(params["dtype"])]


def _float_arange_vjp(node: Node, g: Variable) -> list[Variable | None]:
    steps = cast(arange(length(g, 0)), g.dtype)
    total = [dimshuffle(OPS["sum"](v, axes=(0,))) for v in (g, mul(g, steps))]
    return [total[0], None, total[1]]


# start, stop and step, floats of one dtype -> the range; params dtype
_FLOAT_ARANGE = register_op(
    Op(
        "float_arange",
        _arange_infer,
        None,
        vjp=_float_arange_vjp,
        host=_float_arange,
        infix=infix.arange,
    )
)


@api_function
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str | None = None) -> Variable:
    """The numbers from `start` (0 if left out) up to but not including `stop`.

    All may be symbolic scalars. Integers give int64, unless one of them has a wider dtype; floats
    give their common dtype, Python floats floatX. Where a float is symbolic, NumPy computes the
    range on the host.
    """
    if stop is None:
        start, stop = 0, start
    given = [as_variable(n) for n in (start, stop, step)]
    if any(n.dtype in FLOATS for n in given):
        return _float_range(given, dtype)
    scalars = [as_integer_scalar(n, "an argument of arange") for n in given]
    chosen = _dtype(dtype) if dtype is not None else upcast("int64", *(n.dtype for n in scalars))
    return _ARANGE(*scalars, dtype=chosen)


def _float_range(given: Sequence[Variable], dtype: str | None) -> Variable:
    numbers = []
    for v in given:
        if v.ndim or v.dtype == BOOL:
            raise GraphTypeError(f"{v} is {v.type}: an argument of arange must be a number")
        numbers += [v.value.item()] if isinstance(v, Constant) else []
    if len(numbers) < len(given):
        settled = settle_constants(given)
        chosen = upcast(*(v.dtype for v in settled))
        numbered = _FLOAT_ARANGE(*(cast(v, chosen) for v in settled), dtype=chosen)
        return numbered if dtype is None else cast(numbered, _dtype(dtype))
    if numbers[2] == 0:
        raise ShapeError("the step of arange is 0")
    if not all(map(isfinite, numbers)):
        raise ArgumentError(f"arange from {numbers[0]} to {numbers[1]} in steps of {numbers[2]}")
    chosen = upcast(*(v.dtype for v in settle_constants(given))) if dtype is None else dtype
    with error_context("arange", user_source()):
        values = Constant(np.arange(*numbers).astype(_dtype(chosen)))
    return static_reshape(values, values.type.static_shape, (False,))


# --- grids --------------------------------------------------------------------------------------


class _Grid:
    """The coordinates of a grid: `mgrid[0:5, 0:3]` is a list with an array per axis.

    sparse: whether the arrays have length 1 on the other axes, on which they broadcast; otherwise
    all have the shape of the grid. Starts, stops and steps are arguments of `arange`.
    """

    def __init__(self, sparse: bool) -> None:
        self._sparse = sparse

    def __getitem__(self, key: Any) -> list[Variable]:
        slices = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(s, slice) and s.stop is not None for s in slices):
            raise ArgumentError(f"a grid is made of slices that stop, not of {shown(key)}")
        ranges = [
            arange(0 if s.start is None else s.start, s.stop, 1 if s.step is None else s.step)
            for s in slices
        ]
        dtype, n = upcast(*(r.dtype for r in ranges)), len(ranges)
        lengths = [length(r, 0) for r in ranges]
        axes = [
            dimshuffle(cast(r, dtype), *("x",) * axis, 0, *("x",) * (n - axis - 1))
            for axis, r in enumerate(ranges)
        ]
        return axes if self._sparse else [alloc(v, *lengths) for v in axes]


mgrid, ogrid = _Grid(sparse=False), _Grid(sparse=True)


def bartlett(M: Any) -> Variable:  # noqa: N803
    """Bartlett's window: a triangle of `M` points, an int or an integer scalar, from 0 to 1 and
    back to 0, in float64; a single point is 1."""
    points = cast(as_integer_scalar(M, "the length of a window"), "int64")
    middle = cast(points - 1, "float64") / 2
    distance = abs_(cast(arange(points), "float64") - middle)
    return switch(eq(middle, 0), 1.0, 1 - distance / middle)
