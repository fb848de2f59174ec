"""Theano's `tensor.nnet`: activations, softmax, convolution."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.conv import conv2d
from tinygrad_mnist.ops.elementwise import maximum, sigmoid, softplus
from tinygrad_mnist.ops.softmax import softmax
from tinygrad_mnist.tensor.nnet import conv


def relu(x: Any) -> Variable:
    """max(0, x), with slope 0 at 0."""
    return maximum(0.0, as_variable(x))


__all__ = ["conv", "conv2d", "relu", "sigmoid", "softmax", "softplus"]
