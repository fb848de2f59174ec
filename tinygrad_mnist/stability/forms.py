"""Forms: what is known of a value that is built from exponentials.

The common form is the scaled number, v = factor * exp(exponent). Products and quotients of scaled
numbers add and subtract exponents, and a logarithm returns the exponent, so nothing overflows on
the way. The other forms keep what would be lost in a scaled number: the terms of a sum, which may
cancel or divide one of them, and functions that have a name and a kernel.

All variables of a form have the dtype of the value. A number takes the dtype of the variable
beside it; as an operand of the user it could be wider, and widen the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygrad_mnist.graph.op import constant
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import (
    add,
    maximum,
    mul,
    neg,
    number_like,
    stop_gradient,
    sub,
    true_div,
)
from tinygrad_mnist.rewrite.engine import identity

Factor = float | Variable  # a float is a constant of the user's program


@dataclass(frozen=True, eq=False)
class Scaled:
    """factor * exp(exponent); an exponent that is None is 0."""

    factor: Factor
    exponent: Variable | None


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of its terms, element by element."""

    terms: tuple[Scaled, ...]

    @property
    def is_positive(self) -> bool:
        """Whether all factors are known to be positive."""
        return all(isinstance(t.factor, float) and t.factor > 0 for t in self.terms)

    @property
    def is_difference(self) -> bool:
        """Whether it is c * exp(a) - c * exp(b)."""
        if len(self.terms) != 2:
            return False
        first, second = (t.factor for t in self.terms)
        return isinstance(first, float) and isinstance(second, float) and first == -second


@dataclass(frozen=True, eq=False)
class Total:
    """The sum of exp(exponent) over axes, which it keeps."""

    exponent: Variable
    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sigmoid:
    """factor / (1 + exp(-argument))."""

    factor: Factor
    argument: Variable


@dataclass(frozen=True, eq=False)
class Share:
    """factor * exp(argument) / (the sum of exp(argument) over axes): a softmax.

    is_op: whether the user calls it softmax. Its logarithm is log_softmax then, which has fused
    kernels. The logarithm of one that is written out keeps all digits where it is close to 0.
    """

    factor: Factor
    argument: Variable
    axes: tuple[int, ...]
    is_op: bool = False


@dataclass(frozen=True, eq=False)
class Rest:
    """1 - share, for a share with the factor 1."""

    share: Share


@dataclass(frozen=True, eq=False)
class Pieces:
    """What a view, a join or a switch makes of forms.

    parts: forms, each with the variable that it belongs to. build: makes the result of values of
    the parts, or of any function of these values, element by element.
    """

    parts: tuple[tuple[Form, Variable], ...]
    build: Callable[[Sequence[Variable]], Variable]

    @cached_property
    def n_leaves(self) -> int:
        """The number of forms that are no pieces again."""
        return sum(f.n_leaves if isinstance(f, Pieces) else 1 for f, _ in self.parts)

    @cached_property
    def depth(self) -> int:
        """How many pieces lie within each other."""
        return 1 + max(f.depth if isinstance(f, Pieces) else 0 for f, _ in self.parts)

    def each(self, change: Callable[[Form, Variable], Form]) -> Pieces:
        """The pieces with another form for each part."""
        return Pieces(tuple((change(form, v), v) for form, v in self.parts), self.build)


Named = Sigmoid | Share | Rest
Form = Scaled | Sum | Total | Named | Pieces
ONE = Scaled(1.0, None)


# --- factors and exponents ------------------------------------------------------------------------


def times(a: Factor, b: Factor) -> Factor:
    """a * b."""
    if isinstance(a, float) and isinstance(b, float):
        return a * b
    if a == 1.0 or b == 1.0:
        return b if a == 1.0 else a
    if a == -1.0 or b == -1.0:
        return negative(b if a == -1.0 else a)
    return mul(*_operands(a, b))


def over(a: Factor, b: Factor) -> Factor:
    """a / b."""
    if b == 1.0:
        return a
    if isinstance(a, float) and isinstance(b, float):
        with np.errstate(all="ignore"):
            return float(np.divide(a, b))
    return true_div(*_operands(a, b))


def _operands(a: Factor, b: Factor) -> tuple[Variable, Variable]:
    """Two factors, at least one of which is a variable."""
    like = a if isinstance(a, Variable) else b
    assert isinstance(like, Variable)
    return as_operand(a, like), as_operand(b, like)


def as_operand(c: Factor, like: Variable) -> Variable:
    """A factor as an operand beside `like`, in its dtype."""
    return number_like(c, like) if isinstance(c, float) else c


def negative(a: Factor) -> Factor:
    """-a."""
    return -a if isinstance(a, float) else minus(a)


def minus(v: Variable) -> Variable:
    """-v, without a double negation."""
    return v.node.inputs[0] if v.node is not None and v.node.op.name == "neg" else neg(v)


def total_exponent(a: Variable | None, b: Variable | None) -> Variable | None:
    """a + b."""
    if a is None or b is None:
        return b if a is None else a
    return add(a, b)


def exponent_between(
    a: Variable | None, b: Variable | None, leaves: Container[Variable]
) -> Variable | None:
    """a - b."""
    if a is None or b is None:
        return a if b is None else minus(b)
    return zero_of(a) if same(a, b, leaves) else sub(a, b)


def zero_of(v: Variable) -> Variable:
    """v - v, without a gradient: what is left of an exponent that cancels. It is NaN where `v` is
    NaN or infinite, and so is the result then."""
    return stop_gradient(sub(v, v))


def zero_of_term(term: Scaled) -> Variable | None:
    """The same for a term that another one cancels, which is no number where it is NaN or infinite;
    None for a number."""
    zero = None
    if term.exponent is not None:
        zero = zero_of(maximum(term.exponent, lowest(term.exponent)))
    if isinstance(term.factor, Variable):
        zero = total_exponent(zero, zero_of(term.factor))
    return zero


def lowest(v: Variable) -> Variable:
    """The least finite number in the dtype of `v`."""
    return number_like(float(np.finfo(v.dtype).min), v)


def shifted(exponent: Variable | None, c: float, like: Variable) -> Variable:
    """exponent + c."""
    if exponent is None:
        return filled(c, like)
    return exponent if c == 0 else add(exponent, as_operand(c, exponent))


def filled(c: float, like: Variable) -> Variable:
    """A number with as many dimensions as `like`, all of which broadcast, and its dtype."""
    return constant(np.full((1,) * like.ndim, c), like.dtype)


def is_number(form: Form) -> bool:
    """Whether it is a constant of the user's program."""
    return isinstance(form, Scaled) and form.exponent is None and isinstance(form.factor, float)


_COPIES = (
    16  # of what is done with pieces, beside one for each branch of a switch or part of a join
)
_PIECES = 40  # that lie within each other


def is_usable(form: Form, dtype: str) -> bool:
    """Whether a form is small enough to work with, and none of its numbers is 0, infinite or NaN in
    that dtype. Such a number may come of multiplying in another order than the program does."""
    if isinstance(form, Pieces):
        fits = form.n_leaves - len(form.parts) <= _COPIES and form.depth <= _PIECES
        return fits and all(is_number(f) or is_usable(f, v.dtype) for f, v in form.parts)
    if isinstance(form, Sum):
        return all(is_usable(t, dtype) for t in form.terms)
    if isinstance(form, Total | Rest) or isinstance(form.factor, Variable):
        return True
    info = np.finfo(dtype)
    is_plain = isinstance(form, Scaled) and form.exponent is None
    least = info.smallest_subnormal if is_plain else info.tiny
    return float(least) <= abs(form.factor) <= float(info.max)


def within_range(factor: Factor, exponent: Variable | None, log_factor: float) -> Scaled:
    """factor * exp(exponent). A factor that is no number of the dtype, though its logarithm is,
    becomes a part of the exponent."""
    form = Scaled(factor, exponent)
    if exponent is None or not math.isfinite(log_factor) or is_usable(form, exponent.dtype):
        return form
    assert isinstance(factor, float)
    return Scaled(math.copysign(1, factor), add(exponent, as_operand(log_factor, exponent)))


def log_size(factor: float) -> float:
    """The logarithm of |factor|."""
    return math.log(abs(factor)) if factor else -math.inf


def log_of_numbers(a: float, b: float) -> float:
    """log(a / b), also where a / b is no number."""
    ratio = over(a, b)
    assert isinstance(ratio, float)
    return math.log(ratio) if 0 < ratio < math.inf else math.log(a) - math.log(b)


def is_probability(form: Form) -> bool:
    """Whether it is a probability, times a number or a plain variable."""
    return is_tame(form) and not isinstance(form, Scaled)


def is_tame(form: Form) -> bool:
    """Whether it is a number, a plain variable, or a probability times one of these: it does not
    overflow because of an exponential."""
    if isinstance(form, Pieces):
        return all(is_tame(part) for part, _ in form.parts)
    if isinstance(form, Scaled):
        return form.exponent is None
    return isinstance(form, Sigmoid | Share | Rest)


_DEPTH = 6  # up to which expressions are compared


def same(
    a: Variable | None, b: Variable | None, leaves: Container[Variable], depth: int = _DEPTH
) -> bool:
    """Whether two expressions certainly have the same value; None is 0."""
    if a is b:
        return True
    if a is None or b is None or a in leaves or b in leaves or a.type != b.type:
        return False
    if isinstance(a, Constant) and isinstance(b, Constant):
        return bool(identity(a) == identity(b))
    first, second = a.node, b.node
    if first is None or second is None or not depth or a.index != b.index:
        return False
    return (
        first.op is second.op
        and len(first.inputs) == len(second.inputs)
        and first.params == second.params
        and all(
            same(x, y, leaves, depth - 1) for x, y in zip(first.inputs, second.inputs, strict=True)
        )
    )
