"""Functions: expressions become callables.

`io` has `In` and `Out`. `build` checks the arguments of `function`, `updates` its updates and
givens. `callable` has the class `Function`. In a call, `signature` orders the values, `arguments`
turns them into arrays, and `plans` finds the plan for their shapes and runs it; `sweep` runs many
steps. `states` sets the inputs that keep a value from call to call. `prepare` compiles the kernels
of several functions together. `profiled` has functions that record their calls, `maker` the graph
of a function.
"""

from tinygrad_mnist.functions.build import function
from tinygrad_mnist.functions.callable import Function
from tinygrad_mnist.functions.io import In, Out, Param
from tinygrad_mnist.functions.prepare import prepare
from tinygrad_mnist.functions.sweep import LiveSweep, Swept, swept

__all__ = ["Function", "In", "LiveSweep", "Out", "Param", "Swept", "function", "prepare", "swept"]
