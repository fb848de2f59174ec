"""Theano's `tensor`: constructors of inputs, and functions of variables.

import tinygrad_mnist.tensor as T
x = T.matrix("x")
y = T.mean(T.exp(x), axis=1)
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.config import config
from tinygrad_mnist.graph.op import as_variable, constant
from tinygrad_mnist.graph.types import TensorType, tensor_type
from tinygrad_mnist.graph.variables import Input, Variable
from tinygrad_mnist.ops.creation import (
    arange,
    eye,
    fill,
    full,
    full_like,
    identity_like,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from tinygrad_mnist.ops.diagonal import diag
from tinygrad_mnist.ops.elementwise import (
    abs_,
    add,
    cast,
    ceil,
    eq,
    exp,
    floor,
    ge,
    gt,
    int_div,
    le,
    log1p,
    lt,
    maximum,
    minimum,
    mod,
    mul,
    neg,
    neq,
    sgn,
    sqr,
    sqrt,
    sub,
    switch,
    tanh,
    true_div,
)
from tinygrad_mnist.ops.elementwise import pow_ as pow
from tinygrad_mnist.ops.index import inc_subtensor, set_subtensor, take
from tinygrad_mnist.ops.join import concatenate, join, repeat, split, stack, tile
from tinygrad_mnist.ops.linalg import batched_dot, dot, outer, tensordot
from tinygrad_mnist.ops.log import log
from tinygrad_mnist.ops.reduce import all_ as all
from tinygrad_mnist.ops.reduce import any_ as any
from tinygrad_mnist.ops.reduce import argmax, argmin, max_and_argmax, mean, prod, std, var
from tinygrad_mnist.ops.reduce import max_ as max
from tinygrad_mnist.ops.reduce import min_ as min
from tinygrad_mnist.ops.reduce import sum_ as sum
from tinygrad_mnist.ops.shape import (
    alloc,
    dimshuffle,
    flatten,
    reshape,
    shape,
    transpose,
)
from tinygrad_mnist.tensor import extra_ops, nnet, shared_randomstreams, signal

as_tensor_variable = as_variable


def _dtype(dtype: str | None) -> str:
    return config.floatX if dtype in (None, "floatX") else str(dtype)


def tensor(dtype: str, broadcastable: Sequence[bool], name: str | None = None) -> Variable:
    """An input with the given dtype; `broadcastable` has a flag per dimension."""
    return Input(tensor_type(_dtype(dtype), broadcastable), name)


def scalar(name: str | None = None, dtype: str | None = None) -> Variable:
    """An input without dimensions."""
    return Input(tensor_type(_dtype(dtype), ()), name)


def vector(name: str | None = None, dtype: str | None = None) -> Variable:
    """An input with one dimension."""
    return Input(tensor_type(_dtype(dtype), (False,)), name)


def matrix(name: str | None = None, dtype: str | None = None) -> Variable:
    """An input with two dimensions."""
    return Input(tensor_type(_dtype(dtype), (False,) * 2), name)


def row(name: str | None = None, dtype: str | None = None) -> Variable:
    """A matrix input with one row, which stretches."""
    return Input(tensor_type(_dtype(dtype), (True, False)), name)


def col(name: str | None = None, dtype: str | None = None) -> Variable:
    """A matrix input with one column, which stretches."""
    return Input(tensor_type(_dtype(dtype), (False, True)), name)


def tensor3(name: str | None = None, dtype: str | None = None) -> Variable:
    """An input with three dimensions."""
    return Input(tensor_type(_dtype(dtype), (False,) * 3), name)


def tensor4(name: str | None = None, dtype: str | None = None) -> Variable:
    """An input with four dimensions."""
    return Input(tensor_type(_dtype(dtype), (False,) * 4), name)


def iscalar(name: str | None = None) -> Variable:
    """An int32 scalar."""
    return scalar(name, "int32")


def lscalar(name: str | None = None) -> Variable:
    """An int64 scalar: the mini-batch index of the book."""
    return scalar(name, "int64")


def fscalar(name: str | None = None) -> Variable:
    """A float32 scalar."""
    return scalar(name, "float32")


def dscalar(name: str | None = None) -> Variable:
    """A float64 scalar."""
    return scalar(name, "float64")


def ivector(name: str | None = None) -> Variable:
    """An int32 vector: the labels of the book."""
    return vector(name, "int32")


def lvector(name: str | None = None) -> Variable:
    """An int64 vector."""
    return vector(name, "int64")


def fvector(name: str | None = None) -> Variable:
    """A float32 vector."""
    return vector(name, "float32")


def dvector(name: str | None = None) -> Variable:
    """A float64 vector."""
    return vector(name, "float64")


def fmatrix(name: str | None = None) -> Variable:
    """A float32 matrix."""
    return matrix(name, "float32")


def dmatrix(name: str | None = None) -> Variable:
    """A float64 matrix."""
    return matrix(name, "float64")


def imatrix(name: str | None = None) -> Variable:
    """An int32 matrix."""
    return matrix(name, "int32")


__all__ = [
    "TensorType",
    "Variable",
    "abs_",
    "add",
    "all",
    "alloc",
    "any",
    "arange",
    "argmax",
    "argmin",
    "as_tensor_variable",
    "batched_dot",
    "cast",
    "ceil",
    "col",
    "concatenate",
    "constant",
    "diag",
    "dimshuffle",
    "dmatrix",
    "dot",
    "dscalar",
    "dvector",
    "eq",
    "exp",
    "extra_ops",
    "eye",
    "fill",
    "flatten",
    "floor",
    "fmatrix",
    "fscalar",
    "full",
    "full_like",
    "fvector",
    "ge",
    "grad",
    "gt",
    "identity_like",
    "imatrix",
    "inc_subtensor",
    "int_div",
    "iscalar",
    "ivector",
    "join",
    "le",
    "log",
    "log1p",
    "lscalar",
    "lt",
    "lvector",
    "matrix",
    "max",
    "max_and_argmax",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mod",
    "mul",
    "neg",
    "neq",
    "nnet",
    "ones",
    "ones_like",
    "outer",
    "pow",
    "prod",
    "repeat",
    "reshape",
    "row",
    "scalar",
    "set_subtensor",
    "sgn",
    "shape",
    "shared_randomstreams",
    "signal",
    "split",
    "sqr",
    "sqrt",
    "stack",
    "std",
    "sub",
    "sum",
    "switch",
    "take",
    "tanh",
    "tensor",
    "tensor3",
    "tensor4",
    "tensordot",
    "tile",
    "transpose",
    "true_div",
    "var",
    "vector",
    "zeros",
    "zeros_like",
]
