"""A symbolic-graph autodiff engine that runs a whole training step in one native call.

It is written for readers of Theano programs:

    import tinygrad_mnist as theano
    import tinygrad_mnist.tensor as T

On top is `network3`, the API of chapter 6 of Michael Nielsen's *Neural Networks and Deep
Learning*.
"""

from tinygrad_mnist import startup

# isort: split
# What is above is loaded first.
from tinygrad_mnist import printing, tensor
from tinygrad_mnist._version import __version__
from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.config import config
from tinygrad_mnist.functions import Function, In, Out, Param, function, test_values
from tinygrad_mnist.graph import pickling
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.names import attribute_finder
from tinygrad_mnist.printing import debugprint, pp
from tinygrad_mnist.sharedvalue import shared

# Modules that only register functions: for interrupts, for variables, and for `copyreg`.
_REGISTERED = (startup, test_values, pickling)

__all__ = [
    "Constant",
    "Function",
    "In",
    "Lop",
    "Out",
    "Param",
    "Rop",
    "SharedVariable",
    "Variable",
    "__version__",
    "config",
    "debugprint",
    "function",
    "grad",
    "gradient",
    "pp",
    "printing",
    "shared",
    "subgraph_grad",
    "tensor",
]

__getattr__ = attribute_finder("theano", __name__)
