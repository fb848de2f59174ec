"""`require`: a condition that holds for an argument, checked whenever a function runs.

A number that breaks it is an error at once. For a variable the check is a kernel call, which comes
before anything is written, like that of an index.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.fold import computed_constant
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.variables import Op, Variable
from tinygrad_mnist.ops.elementwise import cast


def _reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    if not np.all(inputs[1]):
        raise ArgumentError(params["message"])
    return [inputs[0]]


# a value, integers that have to be 1 -> the value; params message
_REQUIRE = register_op(
    Op(
        "require",
        lambda params, types: [types[0]],
        _reference,
        vjp=lambda node, g: [g, None],
        n_connected=1,
        view=lambda params, layout: layout,
        checks=lambda node: [(1, 1, 2)],
    )
)


def require(value: Variable, condition: Variable, message: str) -> Variable:
    """`value`, which a function computes only if all elements of `condition` are true.

    message: says what is wrong otherwise, and names the op. Raises ArgumentError with it and the
    user's line for a false constant.
    """
    holds = computed_constant(condition)
    if holds is None:
        return _REQUIRE(value, cast(condition, "int8"), message=message)
    if not holds.all():
        raise ArgumentError(f"{message}{at(user_source())}")
    return value
