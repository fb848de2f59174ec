"""Theano's `tensor.signal`: convolution of images without channels, and pooling, in its newer and
its older module."""

from tinygrad_mnist.tensor.signal import conv, downsample, pool

__all__ = ["conv", "downsample", "pool"]
