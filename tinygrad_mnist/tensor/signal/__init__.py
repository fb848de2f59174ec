"""Theano's `tensor.signal`: pooling, in its newer and its older module."""

from tinygrad_mnist.tensor.signal import downsample, pool

__all__ = ["downsample", "pool"]
