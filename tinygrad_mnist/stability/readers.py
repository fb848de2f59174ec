"""Readers: the form of what an op makes, by the forms of its operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import abs_, cast, mul, pow_, sqr, sqrt, switch
from tinygrad_mnist.ops.exponential import LN2
from tinygrad_mnist.ops.reduce import max_, min_, prod, sum_
from tinygrad_mnist.stability.forms import (
    ONE,
    Factor,
    Form,
    Pieces,
    Rest,
    Scaled,
    Share,
    Sigmoid,
    Sum,
    Total,
    as_operand,
    is_probability,
    minus,
    within_range,
)
from tinygrad_mnist.stability.recognise import VIEWS, Reader, Recogniser

READERS: dict[str, Reader] = {}


def _reads(*ops: str) -> Callable[[Reader], Reader]:
    def register(reader: Reader) -> Reader:
        READERS.update(dict.fromkeys(ops, reader))
        return reader

    return register


def _exponent(r: Recogniser, node: Node) -> Variable | None:
    """The argument of an exponential; None where it can't overflow, since its maximum is
    subtracted or it is limited by a number."""
    x = node.inputs[0]
    below = r.node(x)
    if below is not None and below.op.name == "minimum":
        if not r.is_deep and any(r.number(v) is not None for v in below.inputs):
            return None
        x = below.inputs[0]
    return None if _is_shifted(r, x) else cast(node.inputs[0], node.outputs[0].dtype)


def _is_shifted(r: Recogniser, exponent: Variable) -> bool:
    """Whether a maximum is subtracted from an exponent."""
    below = r.node(exponent)
    if below is None or below.op.name != "sub":
        return False
    return r.operand(below.inputs[1], "stop_gradient") is not None


@_reads("exp")
def _exp(r: Recogniser, node: Node) -> Form | None:
    exponent = _exponent(r, node)
    return None if exponent is None else _exponential(r, exponent)


def _exponential(r: Recogniser, exponent: Variable) -> Form:
    """The form of exp(exponent), also where the exponent is the logarithm of a probability."""
    z = r.operand(exponent, "log_softmax")
    if z is not None:
        return Share(1.0, cast(z, exponent.dtype), (1,), is_op=True)
    made = r.node(exponent)
    if made is not None and made.op.name == "log_share":
        return Share(1.0, made.inputs[0], made.params["axes"])
    z = r.operand(exponent, "softplus")
    if z is not None:
        return Sum((Scaled(1.0, None), Scaled(1.0, cast(z, exponent.dtype))))
    below = r.operand(exponent, "neg")
    z = None if below is None else r.operand(below, "softplus")
    return Scaled(1.0, exponent) if z is None else Sigmoid(1.0, minus(cast(z, exponent.dtype)))


@_reads("exp2")
def _exp2(r: Recogniser, node: Node) -> Form | None:
    x = cast(node.inputs[0], node.outputs[0].dtype)
    return Scaled(1.0, mul(x, as_operand(LN2, x)))


@_reads("mul_exp")
def _mul_exp(r: Recogniser, node: Node) -> Form | None:
    factor, exponent = node.inputs
    return None if _is_shifted(r, exponent) else Scaled(r.plain(factor).factor, exponent)


@_reads("expm1")
def _expm1(r: Recogniser, node: Node) -> Form | None:
    exponent = _exponent(r, node)
    return None if exponent is None else Sum((Scaled(1.0, exponent), Scaled(-1.0, None)))


@_reads("sigmoid", "logistic")
def _sigmoid(r: Recogniser, node: Node) -> Form | None:
    return Sigmoid(1.0, cast(node.inputs[0], node.outputs[0].dtype))


@_reads("softmax")
def _softmax(r: Recogniser, node: Node) -> Form | None:
    return Share(1.0, cast(node.inputs[0], node.outputs[0].dtype), (1,), is_op=True)


@_reads("share")
def _share(r: Recogniser, node: Node) -> Form | None:
    return Share(1.0, node.inputs[0], node.params["axes"])


@_reads("rest")
def _rest(r: Recogniser, node: Node) -> Form | None:
    return Rest(Share(1.0, node.inputs[0], node.params["axes"]))


@_reads("neg")
def _neg(r: Recogniser, node: Node) -> Form | None:
    form = r.form(node.inputs[0])
    return None if form is None else r.product(form, Scaled(-1.0, None), node.inputs[0])


@_reads("mul")
def _mul(r: Recogniser, node: Node) -> Form | None:
    forms = r.operands(node)
    if forms is None or (all(map(is_probability, forms)) and r.is_plain_enough(*forms)):
        return None
    return r.product(forms[0], forms[1], node.outputs[0])


@_reads("true_div")
def _true_div(r: Recogniser, node: Node) -> Form | None:
    forms = r.operands(node)
    return None if forms is None else r.quotient(forms[0], forms[1], node.outputs[0])


@_reads("add", "sub")
def _add(r: Recogniser, node: Node) -> Form | None:
    named = _one_and_tanh(r, node)
    if named is not None:
        return named
    forms = r.operands(node)
    if forms is None:
        return None
    if node.op.name == "sub":
        forms[1] = r.product(forms[1], Scaled(-1.0, None), node.outputs[0])
    return r.sum_of(forms, node.outputs[0])


def _one_and_tanh(r: Recogniser, node: Node) -> Form | None:
    """c + c * tanh(y) is 2 c * sigmoid(2 y)."""
    for position in (0, 1):
        c = r.number(node.inputs[1 - position])
        if c is None:
            continue
        found = _multiple_of_tanh(r, node.inputs[position], node.outputs[0].dtype)
        if found is None:
            return None
        k, y = found
        is_difference = node.op.name == "sub"
        if is_difference and position == 1:
            k = -k
        if is_difference and position == 0:
            c = -c
        if c == 0 or abs(k) != abs(c):
            return None
        twice = doubled(r, y)
        return Sigmoid(2 * c, twice if k == c else minus(twice))
    return None


_TANH_DEPTH = 12


def _multiple_of_tanh(
    r: Recogniser, v: Variable, dtype: str, depth: int = _TANH_DEPTH
) -> tuple[float, Variable] | None:
    """(k, y) for k * tanh(y), y in that dtype."""
    node = r.node(v)
    if node is None or not depth:
        return None
    if node.op.name == "tanh":
        return 1.0, cast(node.inputs[0], dtype)
    if node.op.name == "neg":
        found = _multiple_of_tanh(r, node.inputs[0], dtype, depth - 1)
        return None if found is None else (-found[0], found[1])
    if node.op.name not in ("mul", "true_div"):
        return None
    a, b = node.inputs
    k = r.number(b)
    if k is None and node.op.name == "mul":
        a, b = b, a
        k = r.number(b)
    found = None if k is None or k == 0 else _multiple_of_tanh(r, a, dtype, depth - 1)
    if found is None or k is None:
        return None
    return (found[0] * k if node.op.name == "mul" else found[0] / k), found[1]


def doubled(r: Recogniser, y: Variable) -> Variable:
    """2 * y, which is x where y is x / 2."""
    node = r.node(y)
    if node is not None and node.op.name in ("mul", "true_div"):
        a, b = node.inputs
        if node.op.name == "mul" and r.number(a) == 0.5 and b.type == y.type:
            return b
        if r.number(b) == (0.5 if node.op.name == "mul" else 2) and a.type == y.type:
            return a
    return mul(y, 2)


@_reads("sqr")
def _sqr(r: Recogniser, node: Node) -> Form | None:
    return _power(r, node, 2.0)


@_reads("sqrt")
def _sqrt(r: Recogniser, node: Node) -> Form | None:
    return _power(r, node, 0.5)


@_reads("pow")
def _pow(r: Recogniser, node: Node) -> Form | None:
    power = r.number(node.inputs[1])
    if power is not None:
        return _power(r, node, power)
    dtype = node.outputs[0].dtype
    form = r.form_in(node.inputs[0], dtype)
    if form is None:
        return None
    base = r.collapse(form, node.outputs[0])
    if base.factor != 1.0 or base.exponent is None:
        return None
    return Scaled(1.0, mul(base.exponent, cast(node.inputs[1], dtype)))


def _power(r: Recogniser, node: Node, power: float) -> Form | None:
    form = r.form_in(node.inputs[0], node.outputs[0].dtype)
    if form is None or power == 0 or not np.isfinite(power):
        return None
    if abs(power) == 1:
        return form if power == 1 else r.quotient(ONE, form, node.outputs[0])
    if r.is_plain_enough(form):
        return None
    base = r.collapse(form, node.outputs[0])
    factor = base.factor
    if base.exponent is None or (isinstance(factor, float) and factor < 0 and power % 1):
        return None
    exponent = mul(base.exponent, as_operand(power, base.exponent))
    if isinstance(factor, float):
        with np.errstate(all="ignore"):
            log_factor = power * float(np.log(abs(factor)))
            return within_range(float(np.power(factor, power)), exponent, log_factor)
    if power in (2.0, 0.5):
        factor = sqr(factor) if power == 2 else sqrt(factor)
    else:
        factor = pow_(factor, as_operand(power, factor))
    return Scaled(factor, exponent)


@_reads("abs")
def _abs(r: Recogniser, node: Node) -> Form | None:
    form = r.form(node.inputs[0])
    if form is None or isinstance(form, Total | Rest):
        return form
    if isinstance(form, Sum | Pieces):
        form = r.collapse(form, node.outputs[0])
    factor: Factor = abs(form.factor) if isinstance(form.factor, float) else abs_(form.factor)
    if isinstance(form, Scaled):
        return Scaled(factor, form.exponent)
    if isinstance(form, Sigmoid):
        return Sigmoid(factor, form.argument)
    return replace(form, factor=factor)


# --- reductions -----------------------------------------------------------------------------------


def _scaled_elements(r: Recogniser, x: Variable) -> Scaled | None:
    """The elements of `x` as scaled numbers; None if a reduction of them needs no form."""
    form = r.form(x)
    if form is None or r.is_plain_enough(form):
        return None
    return r.collapse(form, x)


@_reads("sum")
def _sum(r: Recogniser, node: Node) -> Form | None:
    x, axes = node.inputs[0], node.params["axes"]
    base = _scaled_elements(r, x)
    if base is None or base.exponent is None:
        return None
    return r.weighted_total(base.factor, r.whole(base.exponent, x), axes)


@_reads("prod")
def _prod(r: Recogniser, node: Node) -> Form | None:
    x, axes = node.inputs[0], node.params["axes"]
    base = _scaled_elements(r, x)
    if base is None or base.exponent is None:
        return None
    factor = base.factor
    if factor != 1.0:
        factor = prod(r.filled_like(factor, x), axes, keepdims=True)
    return Scaled(factor, sum_(r.whole(base.exponent, x), axes, keepdims=True))


@_reads("max", "min")
def _extreme(r: Recogniser, node: Node) -> Form | None:
    x, axes = node.inputs[0], node.params["axes"]
    form = r.form(x)
    if form is None or isinstance(form, Sum) or r.is_plain_enough(form):
        return None
    base = r.collapse(form, x)
    if base.exponent is None or base.factor != 1.0:
        return None
    extreme = max_ if node.op.name == "max" else min_
    return Scaled(1.0, extreme(r.whole(base.exponent, x), axes, keepdims=True))


# --- what moves, selects or converts --------------------------------------------------------------


@_reads("identity")
def _identity(r: Recogniser, node: Node) -> Form | None:
    return r.form(node.inputs[0])


@_reads("cast")
def _cast(r: Recogniser, node: Node) -> Form | None:
    form = r.form(node.inputs[0])
    dtype = node.outputs[0].dtype
    return None if form is None else r.mapped(form, node.inputs[0], lambda v: cast(v, dtype))


@_reads(*VIEWS)
def _view(r: Recogniser, node: Node) -> Form | None:
    x = node.inputs[0]
    source = r.without_moves(node)
    if source is not None:
        return r.form(source)
    form = r.form(x)
    if form is None:
        return None
    rest = node.inputs[1:]
    return r.mapped(form, x, lambda v: node.op(r.whole(v, x), *rest, **node.params))


@_reads("join")
def _join(r: Recogniser, node: Node) -> Form | None:
    return _pieces(r, node.inputs, lambda values: node.op(*values, **node.params))


@_reads("switch")
def _switch(r: Recogniser, node: Node) -> Form | None:
    condition, *branches = node.inputs
    return _pieces(r, branches, lambda values: switch(condition, *values))


def _pieces(
    r: Recogniser, variables: Sequence[Variable], build: Callable[[Sequence[Variable]], Variable]
) -> Form | None:
    if all(r.form(v) is None for v in variables):
        return None
    return Pieces(tuple((r.form_or_plain(v), v) for v in variables), build)
