"""Symbolic differentiation: gradients, products with Jacobians, Jacobians and Hessians, as more
graph. Only `grad` is imported here; `tinygrad_mnist.gradient` has all of them."""

from tinygrad_mnist.autodiff.reverse import grad

__all__ = ["grad"]
