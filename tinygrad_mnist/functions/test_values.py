"""Test values: every expression is computed for examples of its inputs as soon as it is written.

While `config.compute_test_value` is not 'off', a node that is made computes its results from the
test values of its inputs, by the reference of its op. So an error, such as shapes that don't fit,
is raised at the line that makes it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.compile.specialise import specialise
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import MissingTestValueError
from tinygrad_mnist.functions.arguments import Parameter, convert
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at, error_context
from tinygrad_mnist.graph.test_values import are_paused, no_test_values
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.types import static_type
from tinygrad_mnist.graph.variables import Constant, Node, Variable


def get_test_value(v: Any) -> Array:
    """The test value of a variable: `v.tag.test_value`, or the value of a constant or a shared
    variable; of anything else that as a constant has.

    Raises AttributeError where there is none, and GraphTypeError or ShapeError where the program
    has set one that is no value of the variable.
    """
    variable = as_variable(v)
    if isinstance(variable, Constant):
        return variable.value
    if isinstance(variable, SharedVariable):
        return variable.get_value()
    tag: Any = vars(variable).get("tag")
    if not hasattr(tag, "test_value"):
        raise MissingTestValueError(f"{variable} has no test value{at(variable.source)}")
    value = tag.test_value
    if variable.node is not None and isinstance(value, np.ndarray):
        return value
    parameter = Parameter(variable, variable.name, f"the test value of {variable}")
    return convert(value, parameter)


@api_function
def compute_test_value(node: Node) -> None:
    """Computes the test values of the node's results, as `config.compute_test_value` says."""
    if are_paused():
        return
    try:
        values = [
            v.get_value(borrow=True) if isinstance(v, SharedVariable) else get_test_value(v)
            for v in node.inputs
        ]
    except MissingTestValueError as error:
        message = f"the test value of {node.op.name} can't be computed: {error}"
        if config.compute_test_value == "raise":
            raise MissingTestValueError(message) from None
        if config.compute_test_value == "warn":
            warnings.warn(message, stacklevel=4)
        return
    for v, value in zip(node.outputs, _computed(node, values), strict=True):
        v.tag.test_value = value


def _computed(node: Node, values: Sequence[Array]) -> list[Array]:
    """The node's results for values of its inputs."""
    inputs = [_known(v, value) for v, value in zip(node.inputs, values, strict=True)]
    types = [v.type for v in node.outputs]
    twin = Node(node.op, inputs, node.params, types, node.origins)
    with no_test_values():
        outputs = specialise(twin.outputs, {}, {}).outputs
    known: dict[Variable, Array] = {}

    def value_of(v: Variable) -> Array:
        return v.value if isinstance(v, Constant) else known[v]

    for step in toposort(outputs):
        with np.errstate(all="ignore"), error_context(node.op.name, *node.origins):
            results = step.op.evaluate(step, [value_of(v) for v in step.inputs])
        known.update(zip(step.outputs, results, strict=True))
    return [np.asarray(value_of(v)) for v in outputs]


def _known(v: Variable, value: Array) -> Constant:
    """A constant of the value and the type of a variable."""
    constant = Constant(np.asarray(value, v.dtype), isinstance(v, Constant) and v.weak)
    constant.type = static_type(v.dtype, constant.value.shape, v.broadcastable)
    return constant
