"""Theano's `tensor.nnet`: activations, softmax, cross-entropies, convolution, batch
normalisation."""

from __future__ import annotations

from tinygrad_mnist.names import attribute_finder
from tinygrad_mnist.tensor.nnet import abstract_conv, bn, conv, neighbours, nnet, sigm
from tinygrad_mnist.tensor.nnet.abstract_conv import (
    causal_conv1d,
    conv2d,
    conv2d_grad_wrt_inputs,
    conv2d_grad_wrt_weights,
    conv2d_transpose,
    separable_conv2d,
)
from tinygrad_mnist.tensor.nnet.bn import *  # noqa: F403
from tinygrad_mnist.tensor.nnet.nnet import *  # noqa: F403
from tinygrad_mnist.tensor.nnet.sigm import *  # noqa: F403

abstract_conv2d = conv2d

__all__ = [
    "abstract_conv",
    "abstract_conv2d",
    "bn",
    "causal_conv1d",
    "conv",
    "conv2d",
    "conv2d_grad_wrt_inputs",
    "conv2d_grad_wrt_weights",
    "conv2d_transpose",
    "neighbours",
    "nnet",
    "separable_conv2d",
    "sigm",
]
__all__ += bn.__all__
__all__ += nnet.__all__
__all__ += [word for word in sigm.__all__ if word not in nnet.__all__]

__getattr__ = attribute_finder("theano.tensor.nnet", __name__)
