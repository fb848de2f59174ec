"""From a graph with shapes to a plan: specialisation, rewriting, scheduling, memory, the plan.

Names of Theano's `theano.compile`, such as `compile.SharedVariable`, are found here when they are
used: Theano's module of functions has this package's name.
"""

from tinygrad_mnist.names import attribute_finder

__getattr__ = attribute_finder("theano.compile", __name__)
