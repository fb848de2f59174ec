"""Theano's `tensor.nnet.sigm`: sigmoids and softplus."""

from __future__ import annotations

from tinygrad_mnist.ops.activation import hard_sigmoid, ultra_fast_sigmoid
from tinygrad_mnist.ops.elementwise import sigmoid, softplus

__all__ = ["hard_sigmoid", "sigmoid", "softplus", "ultra_fast_sigmoid"]
