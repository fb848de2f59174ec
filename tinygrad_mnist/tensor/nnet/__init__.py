"""Theano's `tensor.nnet`: activations, softmax, cross-entropies, convolution, batch
normalisation."""

from __future__ import annotations

from tinygrad_mnist.names import attribute_finder
from tinygrad_mnist.ops.activation import elu, hard_sigmoid, relu, selu, ultra_fast_sigmoid
from tinygrad_mnist.ops.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    sigmoid_binary_crossentropy,
)
from tinygrad_mnist.ops.elementwise import sigmoid, softplus
from tinygrad_mnist.ops.softmax import log_softmax, softmax
from tinygrad_mnist.tensor.nnet import abstract_conv, bn, conv
from tinygrad_mnist.tensor.nnet.abstract_conv import conv2d
from tinygrad_mnist.tensor.nnet.bn import (
    batch_normalization,
    batch_normalization_test,
    batch_normalization_train,
)

__all__ = [
    "abstract_conv",
    "batch_normalization",
    "batch_normalization_test",
    "batch_normalization_train",
    "binary_crossentropy",
    "bn",
    "categorical_crossentropy",
    "conv",
    "conv2d",
    "elu",
    "hard_sigmoid",
    "log_softmax",
    "relu",
    "selu",
    "sigmoid",
    "sigmoid_binary_crossentropy",
    "softmax",
    "softplus",
    "ultra_fast_sigmoid",
]

__getattr__ = attribute_finder("theano.tensor.nnet", __name__)
