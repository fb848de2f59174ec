"""Rules: which nodes are replaced by the stable value of a form, and by which.

A node stays as it is unless its form avoids an overflow, an underflow or a cancellation. So plans
of programs that have none do not change.
"""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_mnist.graph.match import both_orders
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import (
    abs_,
    cast,
    log1p,
    neg,
    stop_gradient,
    true_div,
)
from tinygrad_mnist.ops.exponential import LN2, LN10
from tinygrad_mnist.ops.stable import MUL_LOG, norm_root
from tinygrad_mnist.stability.forms import (
    ONE,
    Form,
    Pieces,
    Rest,
    Scaled,
    Sigmoid,
    Sum,
    Total,
    as_operand,
    is_probability,
    same,
)
from tinygrad_mnist.stability.recognise import VIEWS, Recogniser

StabilityRule = Callable[[Recogniser, Node], Variable | None]
RULES: dict[str, StabilityRule] = {}


def _rule(*ops: str) -> Callable[[StabilityRule], StabilityRule]:
    def register(rule: StabilityRule) -> StabilityRule:
        RULES.update(dict.fromkeys(ops, rule))
        return rule

    return register


def _value(r: Recogniser, node: Node, form: Form | None) -> Variable | None:
    """The value of the form of the node's result."""
    if form is None:
        return None
    z = node.outputs[0]
    value = r.value(form, z)
    r.learn(value, form)
    return value


# --- products and quotients -----------------------------------------------------------------------


@_rule("mul")
def product(r: Recogniser, node: Node) -> Variable | None:
    """exp(a) * exp(b) is exp(a + b), and so for other scaled numbers."""
    a, b = (r.form(v) for v in node.inputs)
    if a is None and b is None:
        return product_with_log(r, node)
    if a is None or b is None:
        sigmoid = _unit_sigmoid(r, node)
        return product_with_log(r, node) if sigmoid is None else sigmoid
    if isinstance(a, Sum | Total) and isinstance(b, Sum | Total):
        return None  # what is large in one is rarely tiny in the other
    return _value(r, node, r.form(node.outputs[0]))


def _unit_sigmoid(r: Recogniser, node: Node) -> Variable | None:
    """0.5 * (1 + tanh(x / 2)) is sigmoid(x)."""
    z = node.outputs[0]
    if not any(r.number(v) is not None for v in node.inputs):
        return None
    form = r.form(z)
    if isinstance(form, Sigmoid) and form.factor == 1.0:
        return _value(r, node, form)
    return None


@_rule("true_div")
def quotient(r: Recogniser, node: Node) -> Variable | None:
    """Division by what is built from exponentials: exponents are subtracted, and sigmoid, softmax
    and tanh get their names."""
    a, b = (r.form(v) for v in node.inputs)
    if b is not None:
        return _value(r, node, r.form(node.outputs[0]))
    if a is None:
        return _of_equals(r, node)
    if r.deep.form(node.inputs[1]) is not None:  # a probability by a sum of probabilities
        return _value(r, node, r.deep.form(node.outputs[0]))
    return _unit_sigmoid(r, node)


@_rule("prod")
def product_of_elements(r: Recogniser, node: Node) -> Variable | None:
    """The product of exp(x) is exp(sum(x))."""
    form = r.form(node.inputs[0])
    return None if form is None else _value(r, node, r.form(node.outputs[0]))


@_rule("sqrt", "pow")
def power(r: Recogniser, node: Node) -> Variable | None:
    """exp(x) ** p is exp(p * x); the root of a sum of squares gets its own gradient."""
    x = node.inputs[0]
    p = 0.5 if node.op.name == "sqrt" else r.number(node.inputs[1])
    if r.form(x) is None:
        if p != 0.5 or not x.type.is_float:
            return None
        return _root_of_squares(r, x, node.outputs[0].dtype)
    if p is not None and p >= 1:
        return None
    return _value(r, node, r.form(node.outputs[0]))


def _root_of_squares(r: Recogniser, x: Variable, dtype: str) -> Variable | None:
    """sqrt(sqr(x)) is |x|; other norms have the gradient 0 at 0."""
    node = r.node(x)
    if node is not None and node.inputs[0].type.is_float and _is_square(r, node):
        return abs_(cast(node.inputs[0], dtype))
    return norm_root(cast(x, dtype)) if _is_sum_of_squares(r, x) else None


def _is_square(r: Recogniser, node: Node) -> bool:
    """Whether it makes the square of its first input."""
    if node.op.name == "mul":
        return node.inputs[0] is node.inputs[1]
    return node.op.name == "sqr" or (node.op.name == "pow" and r.number(node.inputs[1]) == 2)


_SQUARES_DEPTH = 12


def _is_sum_of_squares(r: Recogniser, v: Variable, depth: int = _SQUARES_DEPTH) -> bool:
    """Whether all that is added up in `v` is 0 where `v` is 0, with gradient 0."""
    node = r.node(v)
    if node is None or not depth:
        return False
    name = node.op.name
    if _is_square(r, node):
        return True
    if name == "pow":
        p = r.number(node.inputs[1])
        return p is not None and p > 1 and p % 2 == 0
    if name == "add":
        return all(_is_sum_of_squares(r, u, depth - 1) for u in node.inputs)
    if name in ("mul", "true_div"):
        return any(
            _is_sum_of_squares(r, u, depth - 1) and _is_number(r, c)
            for u, c in (both_orders(node.inputs) if name == "mul" else (node.inputs,))
        )
    return name in ("sum", "cast", "identity", "join", *VIEWS) and all(
        _is_sum_of_squares(r, u, depth - 1) for u in node.inputs if u.type.is_float
    )


def _is_number(r: Recogniser, v: Variable) -> bool:
    """Whether `v` is a positive constant, or a number of elements."""
    number = r.number(v)
    if number is not None:
        return number > 0
    while (source := r.operand(v, "cast", *VIEWS)) is not None:
        v = source
    return v.type.is_discrete


# --- sums -----------------------------------------------------------------------------------------


@_rule("add", "sub")
def total(r: Recogniser, node: Node) -> Variable | None:
    """1 - sigmoid(x), 1 - softmax(x), 1 + tanh(x), exp(a) - exp(b), x - log(sum(exp(x))): nothing
    cancels."""
    form = r.form(node.outputs[0])
    if form is not None:
        return _value(r, node, form) if _has_cancelled(form) else None
    if node.op.name == "add":
        return None
    x, y = node.inputs
    logged = r.logged(y)
    share = None if logged is None else r.log_of_ratio(x, logged, node.outputs[0])
    return _of_equals(r, node) if share is None else share


def _of_equals(r: Recogniser, node: Node) -> Variable | None:
    """x - x and x / x have the gradient 0, also where the two parts of it are infinite."""
    x, y = node.inputs
    if not (node.outputs[0].type.is_float and same(x, y, r.leaves)) or r.number(x) is not None:
        return None
    return stop_gradient(node.outputs[0])


def _has_cancelled(form: Form) -> bool:
    """Whether a sum became something better than a sum."""
    if isinstance(form, Pieces):
        return any(_has_cancelled(part) for part, _ in form.parts)
    if isinstance(form, Sum):
        return form.is_difference
    return isinstance(form, Sigmoid | Rest | Scaled)


# --- logarithms -----------------------------------------------------------------------------------


@_rule("log")
def logarithm(r: Recogniser, node: Node) -> Variable | None:
    """The logarithm of a form, and log(1 + x) as log1p(x)."""
    return _log(r, node.inputs[0], node.outputs[0])


@_rule("log1p")
def logarithm_of_one_plus(r: Recogniser, node: Node) -> Variable | None:
    """log(1 + x) for a form x."""
    x, z = node.inputs[0], node.outputs[0]
    form = r.deep.form(x)
    whole = None if form is None else r.deep.sum_of([ONE, form], z)
    return None if whole is None or _is_moderate(r, x, whole) else r.log(whole, z)


@_rule("log2")
def logarithm_to_base_2(r: Recogniser, node: Node) -> Variable | None:
    """log2(x) is log(x) / log(2) for a form x."""
    return _to_base(r, node, LN2)


@_rule("log10")
def logarithm_to_base_10(r: Recogniser, node: Node) -> Variable | None:
    """log10(x) is log(x) / log(10) for a form x."""
    return _to_base(r, node, LN10)


def _to_base(r: Recogniser, node: Node, base: float) -> Variable | None:
    result = _log(r, node.inputs[0], node.outputs[0])
    return None if result is None else true_div(result, as_operand(base, result))


def _log(r: Recogniser, x: Variable, like: Variable) -> Variable | None:
    form = r.deep.form(x)
    if form is None:
        if x.type.is_discrete:
            return None
        rest = _without_one(r, x)
        return None if rest is None else log1p(rest)
    return None if _is_moderate(r, x, form) else r.log(form, like)


def _is_moderate(r: Recogniser, x: Variable, form: Form) -> bool:
    """Whether `x` is the sum of a number and probabilities that is neither large nor tiny."""
    shallow = r.form(x)
    if not isinstance(form, Sum) or not (shallow is None or is_probability(shallow)):
        return False
    least = 0.0
    for term in form.terms:
        if isinstance(term.factor, Variable):
            return False
        least += term.factor if term.exponent is None else min(term.factor, 0)
    return least > 0


def _without_one(r: Recogniser, v: Variable) -> Variable | None:
    """x for v = 1 + x."""
    node = r.node(v)
    if node is None:
        return None
    if node.op.name in VIEWS:
        inner = _without_one(r, node.inputs[0])
        if inner is None:
            return None
        return node.op(r.whole(inner, node.inputs[0]), *node.inputs[1:], **node.params)
    if node.op.name == "add":
        for one, x in both_orders(node.inputs):
            if r.number(one) == 1 and x.type.is_float:
                return cast(x, v.dtype)
    if node.op.name == "sub" and r.number(node.inputs[0]) == 1 and node.inputs[1].type.is_float:
        return cast(neg(node.inputs[1]), v.dtype)
    return None


# --- products with logarithms ---------------------------------------------------------------------


def product_with_log(r: Recogniser, node: Node) -> Variable | None:
    """y * log(x) is 0 where both y and x are 0."""
    if not node.outputs[0].type.is_float:
        return None
    for y, x in both_orders(node.inputs):
        number = r.number(y)
        if (number is None or number == 0) and r.log_of_0(y) is None:
            is_log_of_0 = r.log_of_0(x)
            if is_log_of_0 is not None:
                dtype = node.outputs[0].dtype
                return MUL_LOG(cast(y, dtype), cast(x, dtype), is_log_of_0)
    return None
