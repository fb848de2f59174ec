"""Theano's `tensor.nnet`: activations, softmax, cross-entropies, convolution, batch
normalisation."""

from __future__ import annotations

from tinygrad_mnist.tensor.nnet import abstract_conv, bn, conv, neighbours, nnet, sigm
from tinygrad_mnist.tensor.nnet.abstract_conv import conv2d, conv2d_transpose
from tinygrad_mnist.tensor.nnet.bn import *  # noqa: F403
from tinygrad_mnist.tensor.nnet.nnet import *  # noqa: F403
from tinygrad_mnist.tensor.nnet.sigm import *  # noqa: F403

__all__ = [
    "abstract_conv",
    "bn",
    "conv",
    "conv2d",
    "conv2d_transpose",
    "neighbours",
    "nnet",
    "sigm",
]
__all__ += bn.__all__
__all__ += nnet.__all__
__all__ += [word for word in sigm.__all__ if word not in nnet.__all__]
