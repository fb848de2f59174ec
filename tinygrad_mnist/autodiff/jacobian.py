"""Jacobians and Hessians: each row is a gradient."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tinygrad_mnist.autodiff.map_rows import map_rows
from tinygrad_mnist.autodiff.reverse import Variables, as_list, grad, in_form
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.collection import collection_paused
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.test_values import tested_at_the_end
from tinygrad_mnist.graph.types import tensor_type
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.creation import eye
from tinygrad_mnist.ops.shape import dimshuffle, length


@tested_at_the_end
def jacobian(
    expression: Variable,
    wrt: Variables,
    consider_constant: Collection[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The derivatives of every element of `expression`, a vector, with respect to one variable or
    each of a list or tuple, in the form of `wrt`; of a scalar, its gradient.

    Each has the shape expression.shape + variable.shape and can be differentiated again. The other
    arguments are those of `grad`.

    All rows are computed at once. Where an op has no rule for that, such as index arrays that are
    apart or second derivatives by filters, a function writes out the gradient of each row instead.
    Then its first call takes time in proportion to the number of rows, of which there may be
    10,000; more are a ShapeError.

    Raises GraphTypeError where `expression` has two axes or more, DisconnectedInputError as `grad`.
    """
    of, variables = as_variable(expression), as_list(wrt, "wrt")
    if of.ndim == 0:
        return grad(of, wrt, consider_constant, disconnected_inputs)
    if of.ndim > 1:
        raise GraphTypeError(
            f"jacobian takes a scalar or a vector, such as {of}.flatten(), not {of.type}"
            f"{at(of.source)}"
        )
    dtype = of.dtype if of.type.is_float else config.floatX
    with collection_paused():
        row = Variable(tensor_type(dtype, (False,)))
        seed = row if of.broadcastable == (False,) else dimshuffle(row.sum(), "x")
        gradients = grad(
            None, variables, consider_constant, disconnected_inputs, known_grads={of: seed}
        )
        rows = map_rows([eye(length(of, 0), dtype=dtype)], [row], gradients)
    return in_form(wrt, rows)


def hessian(
    cost: Variable,
    wrt: Variables,
    consider_constant: Collection[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The second derivatives of a scalar `cost` with respect to one vector or each of a list or
    tuple, in the form of `wrt`: a matrix for each, the Jacobian of the gradient.

    The other arguments are those of `grad`. Raises GraphTypeError where `wrt` is no vector, and
    errors as `grad` and `jacobian` do.
    """
    variables = as_list(wrt, "wrt")
    for v in variables:
        if v.ndim != 1:
            raise GraphTypeError(f"hessian takes vectors, not {v.type}; reshape {v}{at(v.source)}")
    slopes = grad(cost, variables, consider_constant, disconnected_inputs)
    matrices = [
        jacobian(slope, v, consider_constant, "ignore")
        for slope, v in zip(slopes, variables, strict=True)
    ]
    return in_form(wrt, matrices)
