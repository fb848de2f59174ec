"""Graphs and plans as text and as drawings: `debugprint`, `pp`, `dot`, `pydotprint`."""

from tinygrad_mnist.printing.dot import dot
from tinygrad_mnist.printing.draw import pydotprint
from tinygrad_mnist.printing.infix import pp
from tinygrad_mnist.printing.tree import debugprint

__all__ = ["debugprint", "dot", "pp", "pydotprint"]
