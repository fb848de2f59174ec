"""Functions: from expressions to something that can be called.

`io` has the words for inputs and outputs, `build` checks what the user asks for, `updates` does so
for updates and givens, `callable` is what comes out of it. `signature` sorts a call's values,
`arguments` turns them into arrays, `plans` finds the plan for their shapes, `sweep` runs many
steps.
"""

from tinygrad_mnist.functions.build import function
from tinygrad_mnist.functions.callable import Function
from tinygrad_mnist.functions.io import In, Out, Param
from tinygrad_mnist.functions.sweep import Swept, swept

__all__ = ["Function", "In", "Out", "Param", "Swept", "function", "swept"]
