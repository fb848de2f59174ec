"""Theano's `theano.sandbox`."""

from tinygrad_mnist.names import attribute_finder

__getattr__ = attribute_finder("theano.sandbox", __name__)
