"""Theano's module `theano.gradient`: gradients, products with Jacobians, Jacobians and Hessians,
ops that change the gradient of their operand, and the comparison with finite differences."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.autodiff.jacobian import hessian, jacobian
from tinygrad_mnist.autodiff.products import Lop, Rop
from tinygrad_mnist.autodiff.subgraph import subgraph_grad
from tinygrad_mnist.autodiff.undefined import (
    DisconnectedType,
    NullType,
    grad_not_implemented,
    grad_undefined,
)
from tinygrad_mnist.errors import DisconnectedInputError, NullTypeGradError
from tinygrad_mnist.gradient.verify import GradientError, numeric_grad, verify_grad
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import stop_gradient
from tinygrad_mnist.ops.gradients import consider_constant, grad_clip, grad_scale, zero_grad

__all__ = [
    "DisconnectedInputError",
    "DisconnectedType",
    "GradientError",
    "Lop",
    "NullType",
    "NullTypeGradError",
    "Rop",
    "consider_constant",
    "disconnected_grad",
    "disconnected_type",
    "grad",
    "grad_clip",
    "grad_not_implemented",
    "grad_scale",
    "grad_undefined",
    "hessian",
    "jacobian",
    "numeric_grad",
    "subgraph_grad",
    "verify_grad",
    "zero_grad",
]

disconnected_type = DisconnectedType()


def disconnected_grad(x: Any) -> Variable:
    """`x`, to which no gradient leads: as far as `grad` knows, nothing depends on it."""
    return stop_gradient(as_variable(x))
