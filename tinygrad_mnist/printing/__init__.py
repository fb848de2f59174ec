"""Graphs and plans as text and as drawings: `debugprint`, `pp`, `dot`, `pydotprint`."""

from tinygrad_mnist.names import attribute_finder
from tinygrad_mnist.printing.dot import dot
from tinygrad_mnist.printing.draw import pydotprint
from tinygrad_mnist.printing.infix import pp
from tinygrad_mnist.printing.tree import debugprint

__getattr__ = attribute_finder("theano.printing", __name__)

__all__ = ["debugprint", "dot", "pp", "pydotprint"]
