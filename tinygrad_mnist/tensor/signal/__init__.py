"""Theano's `tensor.signal`: pooling, under its newer and its older name."""

from tinygrad_mnist.tensor.signal import downsample, pool

__all__ = ["downsample", "pool"]
