"""Symbolic differentiation: gradients, products with Jacobians, Jacobians and Hessians, as more
graph."""

from tinygrad_mnist.autodiff.jacobian import hessian, jacobian
from tinygrad_mnist.autodiff.products import Lop, Rop
from tinygrad_mnist.autodiff.reverse import grad
from tinygrad_mnist.autodiff.subgraph import subgraph_grad

__all__ = ["Lop", "Rop", "grad", "hessian", "jacobian", "subgraph_grad"]
