"""Elementwise ops that are composed of others: a formula in float64, one tape on every backend.

A formula decides by `switch` which of its branches counts, so each of them is computed. The result
is rounded to float32 where the argument is float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.graph.fold import computed_constant
from tinygrad_mnist.graph.op import constant, named, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.variables import Node, Op, Variable
from tinygrad_mnist.ops.elementwise import (
    ApiFunction,
    ElementwiseVjp,
    add,
    as_float,
    cast,
    mul,
    number_like,
    pull_back,
)

Formula = Callable[[Variable], Variable]


def define_composed(
    name: str, formula: Formula, vjp: ElementwiseVjp | None, doc: str
) -> ApiFunction:
    """Registers an op of one argument and returns the function that applies it.

    formula: of a float64 variable. vjp: None where no gradient passes.
    """

    def computed(x: Variable) -> Variable:
        return cast(formula(cast(x, "float64")), x.dtype)

    def reference(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        value = computed_constant(computed(constant(inputs[0])))
        assert value is not None
        return [value]

    def lower(node: Node) -> list[Variable]:
        return [computed(node.inputs[0])]

    op = register_op(
        Op(
            name,
            lambda params, types: [types[0]],
            reference,
            vjp=pull_back(vjp) if vjp else None,
            masked_vjp=pull_back(vjp, masked=True) if vjp else None,
            lower=lower,
        )
    )

    def apply(x: Variable) -> Variable:
        return op(as_float(x))

    apply.__doc__ = doc
    return api_function(named(apply, name))


def polynomial(x: Variable, coefficients: Sequence[float]) -> Variable:
    """By Horner's rule; the coefficient of the highest power comes last."""
    total: Variable = number_like(coefficients[-1], x)
    for c in reversed(coefficients[:-1]):
        total = add(mul(total, x), number_like(c, x))
    return total
