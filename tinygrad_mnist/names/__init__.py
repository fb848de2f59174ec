"""Theano's names: the modules that they are in, and what each of them is here.

`modules` builds Theano's modules of this package's. `table` reads `theano.toml`, which lists Theano
1.0's names and says of those that differ or are absent how and why.
"""

from tinygrad_mnist.names.modules import MODULES, absence, attribute_finder, theano_module

__all__ = ["MODULES", "absence", "attribute_finder", "theano_module"]
