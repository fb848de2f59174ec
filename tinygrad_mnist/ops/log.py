"""Logarithms as users call them: of a softmax, a sigmoid and similar they take a stable form.

`log(softmax(z))` of a confident mistake is log(0), and its gradient 0/0 times 0. So the function
`log` examines its argument and builds log_softmax or softplus instead, whose values and gradients
stay finite. This must happen here, before differentiation. The rules in `rewrite/stabilise.py`
handle the cases that only substitution reveals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_mnist.graph.match import both_orders, operand_of
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.provenance import inherit_origins
from tinygrad_mnist.graph.source import on_behalf_of
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops import elementwise, exponential
from tinygrad_mnist.ops.elementwise import neg, softplus
from tinygrad_mnist.ops.softmax import LOG_SOFTMAX

# Ops that only select or move elements: the logarithm can be taken before them.
_MOVING = ("dimshuffle", "reshape", "static_reshape", "subtensor", "static_slice", "gather")


@api_function
def log(x: Any) -> Variable:
    """Natural logarithm; of softmax(z), sigmoid(z), 1 - sigmoid(z) and 1 + exp(z) without
    overflow or cancellation, in value and gradient."""
    variable = as_variable(x)
    plain = elementwise.log(variable)
    safe = _safe_form(plain, safe_log, variable)
    return plain if safe is None else safe


@api_function
def log2(x: Any) -> Variable:
    """Logarithm to the base 2, as stable as `log` for softmax(z) and similar."""
    return _to_base(x, exponential.log2, exponential.LN2)


@api_function
def log10(x: Any) -> Variable:
    """Logarithm to the base 10, as stable as `log` for softmax(z) and similar."""
    return _to_base(x, exponential.log10, exponential.LN10)


def _to_base(x: Any, plain: elementwise.ApiFunction, log_of_base: float) -> Variable:
    variable = as_variable(x)
    result = plain(variable)
    safe = _safe_form(result, safe_log, variable)
    return result if safe is None else safe / log_of_base


@api_function
def log1p(x: Any) -> Variable:
    """log(1 + x), also where x is tiny; of exp(z) and -sigmoid(z) without overflow or
    cancellation, in value and gradient."""
    variable = as_variable(x)
    plain = elementwise.log1p(variable)
    safe = _safe_form(plain, safe_log1p, variable)
    return plain if safe is None else safe


def _safe_form(
    plain: Variable, rule: Callable[[Variable], Variable | None], x: Variable
) -> Variable | None:
    """What `rule` makes of `x` in place of `plain`; it comes from the lines of all that it
    replaces."""
    assert plain.node is not None
    with on_behalf_of(plain.origins) as context:
        safe = rule(x)
    if safe is not None:
        inherit_origins(plain.node, plain.origins, [x], [safe], context.made)
    return safe


def safe_log1p(v: Variable) -> Variable | None:
    """log(1 + v) in a form that does not compute `v`; None where there is none."""
    z = operand_of(v, "exp")
    if z is not None:
        return softplus(z)
    negated = operand_of(v, "neg")
    z = None if negated is None else operand_of(negated, "sigmoid")
    return None if z is None else neg(softplus(z))


def safe_log(v: Variable) -> Variable | None:
    """The logarithm of `v` in a form that does not compute `v`; None where there is none."""
    result = _safe_log(v)
    return result if result is not None and result.type == v.type else None


def _safe_log(v: Variable) -> Variable | None:
    node = v.node
    if node is None:
        return None
    name, inputs = node.op.name, node.inputs
    if name == "softmax":
        return LOG_SOFTMAX(inputs[0])
    if name == "sigmoid":
        return neg(softplus(neg(inputs[0])))
    if name in _MOVING:
        inner = safe_log(inputs[0])
        if inner is None:
            return None
        return node.op.rebuild([inner, *inputs[1:]], node.params).outputs[0]
    if name == "sub" and _is_one(inputs[0]):
        z = operand_of(inputs[1], "sigmoid")
        return None if z is None else neg(softplus(z))
    if name == "add":
        for one, power in both_orders(inputs):
            z = operand_of(power, "exp")
            if _is_one(one) and z is not None:
                return softplus(z)
    return None


def _is_one(v: Variable) -> bool:
    """Whether `v` is the number 1, with axes added."""
    while (source := operand_of(v, "dimshuffle")) is not None:
        v = source
    return isinstance(v, Constant) and v.value.size == 1 and v.value.item() == 1
