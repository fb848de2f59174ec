"""Theano's `tensor`: constructors of inputs, and functions of variables.

import tinygrad_mnist.tensor as T
x = T.matrix("x")
y = T.mean(T.exp(x), axis=1)
"""

from __future__ import annotations

from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.names import attribute_finder
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
from tinygrad_mnist.ops.cumsum import cumsum
from tinygrad_mnist.ops.diagonal import diag
from tinygrad_mnist.ops.index import inc_subtensor, set_subtensor, take
from tinygrad_mnist.ops.join import concatenate, join, repeat, split, stack, tile
from tinygrad_mnist.ops.linalg import batched_dot, dot, outer, tensordot
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
from tinygrad_mnist.tensor import (
    arrays,
    classes,
    constructors,
    elementwise,
    extra_ops,
    nnet,
    selection,
    shared_randomstreams,
    signal,
    xlogx,
)
from tinygrad_mnist.tensor import sort as _sort
from tinygrad_mnist.tensor.arrays import *  # noqa: F403
from tinygrad_mnist.tensor.classes import *  # noqa: F403
from tinygrad_mnist.tensor.constants import as_tensor_variable, constant
from tinygrad_mnist.tensor.constructors import *  # noqa: F403
from tinygrad_mnist.tensor.elementwise import *  # noqa: F403
from tinygrad_mnist.tensor.selection import *  # noqa: F403
from tinygrad_mnist.tensor.sort import *  # noqa: F403

second = fill

__all__ = [
    "TensorType",
    "Variable",
    "all",
    "alloc",
    "any",
    "arange",
    "argmax",
    "argmin",
    "as_tensor_variable",
    "batched_dot",
    "concatenate",
    "constant",
    "cumsum",
    "diag",
    "dimshuffle",
    "dot",
    "extra_ops",
    "eye",
    "fill",
    "flatten",
    "full",
    "full_like",
    "grad",
    "identity_like",
    "inc_subtensor",
    "join",
    "max",
    "max_and_argmax",
    "mean",
    "min",
    "nnet",
    "ones",
    "ones_like",
    "outer",
    "prod",
    "repeat",
    "reshape",
    "second",
    "set_subtensor",
    "shape",
    "shared_randomstreams",
    "signal",
    "split",
    "stack",
    "std",
    "sum",
    "take",
    "tensordot",
    "tile",
    "transpose",
    "var",
    "xlogx",
    "zeros",
    "zeros_like",
]
__all__ += arrays.__all__
__all__ += classes.__all__
__all__ += constructors.__all__
__all__ += elementwise.__all__
__all__ += _sort.__all__
__all__ += selection.__all__

__getattr__ = attribute_finder("theano.tensor", __name__)
