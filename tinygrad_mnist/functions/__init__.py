"""Functions: from expressions to something that can be called.

`build` checks what the user asks for, `callable` is what comes out of it; `arguments` turns values
into arrays, `plans` finds the plan for their shapes.
"""

from tinygrad_mnist.functions.build import function
from tinygrad_mnist.functions.callable import Function

__all__ = ["Function", "function"]
