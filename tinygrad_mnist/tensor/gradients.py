"""The words of `theano.tensor` for differentiation."""

from __future__ import annotations

from tinygrad_mnist.autodiff import Lop, Rop, grad, hessian, jacobian
from tinygrad_mnist.ops.gradients import consider_constant

__all__ = ["Lop", "Rop", "consider_constant", "grad", "hessian", "jacobian"]
