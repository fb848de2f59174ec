"""The calculus of forms: products, quotients, powers, logarithms, and values again.

Nothing here looks at the user's graph; `recognise` does. `like` is always the variable for which an
expression is made: it has its dtype and number of dimensions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Container, Sequence
from dataclasses import replace

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import (
    add,
    eq,
    exp,
    gt,
    log,
    log1p,
    maximum,
    mul,
    neg,
    softplus,
    stop_gradient,
    sub,
    switch,
)
from tinygrad_mnist.ops.exponential import expm1
from tinygrad_mnist.ops.join import stack
from tinygrad_mnist.ops.logical import and_, isinf
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.shape import broadcast_like, dimshuffle
from tinygrad_mnist.ops.share import (
    LARGEST,
    LOG_REST,
    LOG_SHARE,
    LOG_SUM_EXP,
    REST,
    SHARE,
    finite,
    top,
)
from tinygrad_mnist.ops.softmax import LOG_SOFTMAX, SOFTMAX
from tinygrad_mnist.ops.stable import (
    EXP_DIFFERENCE,
    LOGADDEXP,
    MUL_EXP,
    hyperbolic_tangent,
    logistic,
)
from tinygrad_mnist.stability.forms import (
    Factor,
    Form,
    Named,
    Pieces,
    Rest,
    Scaled,
    Share,
    Sigmoid,
    Sum,
    Total,
    as_operand,
    exponent_between,
    filled,
    is_number,
    is_usable,
    log_of_numbers,
    log_size,
    minus,
    over,
    same,
    shifted,
    times,
    total_exponent,
    within_range,
    zero_of,
)


class Calculus:
    """Operations on forms. leaves: variables into whose expressions nothing may look."""

    def __init__(self, leaves: Container[Variable] = ()) -> None:
        self.leaves = leaves
        self._collapsed: dict[Form, Scaled] = {}
        self.logs: dict[Variable, Form] = {}  # of what a variable is the logarithm
        self._tops: dict[tuple[Variable, tuple[int, ...]], Variable] = {}

    # --- forms of results -------------------------------------------------------------------------

    def product(self, a: Form, b: Form, like: Variable) -> Form:
        """a * b."""
        if isinstance(a, Pieces) and is_number(b):
            return a.each(lambda form, v: self.product(form, b, v))
        if isinstance(b, Pieces) and is_number(a):
            return b.each(lambda form, v: self.product(a, form, v))
        if isinstance(a, Scaled) and a.exponent is None:
            a, b = b, a
        if isinstance(b, Scaled) and b.exponent is None:
            return self._multiple(a, b.factor, like)
        if isinstance(a, Sum) and isinstance(b, Scaled):
            a, b = b, a
        if isinstance(a, Scaled) and isinstance(b, Sum) and isinstance(a.factor, float):
            return Sum(tuple(self._monomial(a, t) for t in b.terms))
        named = self._named_product(a, b)
        if named is not None:
            return named
        return self._monomial(self.collapse(a, like), self.collapse(b, like))

    def _named_product(self, a: Form, b: Form) -> Form | None:
        """exp(z) * sigmoid(-z) is sigmoid(z)."""
        for power, share in ((a, b), (b, a)):
            if (
                isinstance(power, Scaled)
                and isinstance(share, Sigmoid)
                and self._same(power.exponent, minus(share.argument))
            ):
                return Sigmoid(times(power.factor, share.factor), minus(share.argument))
        return None

    def _monomial(self, a: Scaled, b: Scaled) -> Scaled:
        factor = times(a.factor, b.factor)
        if b.exponent is not None and self._same(a.exponent, minus(b.exponent)):
            return Scaled(factor, None if a.exponent is None else zero_of(a.exponent))
        exponent = total_exponent(a.exponent, b.exponent)
        if isinstance(a.factor, float) and isinstance(b.factor, float):
            return within_range(factor, exponent, log_size(a.factor) + log_size(b.factor))
        return Scaled(factor, exponent)

    def _multiple(self, a: Form, factor: Factor, like: Variable) -> Form:
        if isinstance(a, Scaled):
            return self._monomial(a, Scaled(factor, None))
        if isinstance(a, Sigmoid):
            return Sigmoid(times(a.factor, factor), a.argument)
        if isinstance(a, Share):
            return replace(a, factor=times(a.factor, factor))
        if isinstance(a, Sum) and isinstance(factor, float):
            return Sum(tuple(self._monomial(t, Scaled(factor, None)) for t in a.terms))
        return self._multiple(self.collapse(a, like), factor, like)

    def quotient(self, a: Form, b: Form, like: Variable) -> Form:
        """a / b."""
        if isinstance(a, Pieces) and is_number(b):
            return a.each(lambda form, v: self.quotient(form, b, v))
        if isinstance(b, Pieces) and is_number(a):
            return b.each(lambda form, v: self.quotient(a, form, v))
        named = self._named_quotient(a, b, like)
        if named is not None:
            return named
        if isinstance(b, Sigmoid) and not isinstance(b.factor, Variable):
            c = over(1.0, b.factor)
            inverse = Sum((Scaled(c, None), Scaled(c, minus(b.argument))))
            return self.product(a, inverse, like)
        if isinstance(b, Scaled) and b.exponent is None and isinstance(b.factor, float):
            return self._multiple(a, over(1.0, b.factor), like)
        if isinstance(b, Scaled) and isinstance(b.factor, float) and isinstance(a, Sum):
            return Sum(tuple(self._ratio(t, b) for t in a.terms))
        return self._ratio(self.collapse(a, like), self.collapse(b, like))

    def _ratio(self, a: Scaled, b: Scaled) -> Scaled:
        exponent = exponent_between(a.exponent, b.exponent, self.leaves)
        factor = over(a.factor, b.factor)
        if isinstance(a.factor, float) and isinstance(b.factor, float):
            return within_range(factor, exponent, log_size(a.factor) - log_size(b.factor))
        return Scaled(factor, exponent)

    def _named_quotient(self, a: Form, b: Form, like: Variable) -> Form | None:
        """a / b where it has a name."""
        if isinstance(a, Scaled) and isinstance(b, Total) and self._same(a.exponent, b.exponent):
            return Share(a.factor, b.exponent, b.axes)
        if isinstance(a, Scaled) and isinstance(b, Sum) and b.is_positive and len(b.terms) == 2:
            for term, other in (b.terms, b.terms[::-1]):
                if self._same(a.exponent, term.exponent):
                    return self._sigmoid(a, term, other, like)
        if isinstance(a, Sigmoid) and isinstance(b, Sigmoid):
            return self._odds(a, b)
        if isinstance(a, Sum) and isinstance(b, Sum) and a.is_difference and len(b.terms) == 2:
            return self._tanh(a, b)
        return None

    def _same(self, a: Variable | None, b: Variable | None) -> bool:
        return same(a, b, self.leaves)

    def _odds(self, a: Sigmoid, b: Sigmoid) -> Form | None:
        """sigmoid(z) / sigmoid(-z) is exp(z)."""
        if not self._same(a.argument, minus(b.argument)):
            return None
        return Scaled(over(a.factor, b.factor), a.argument)

    def _sigmoid(self, a: Scaled, term: Scaled, other: Scaled, like: Variable) -> Form:
        """a / (term + other), where a and term have one exponent."""
        exponent = exponent_between(term.exponent, other.exponent, self.leaves)
        assert isinstance(term.factor, float)
        assert isinstance(other.factor, float)
        offset = log_of_numbers(term.factor, other.factor)
        return Sigmoid(over(a.factor, term.factor), shifted(exponent, offset, like))

    def _tanh(self, a: Sum, b: Sum) -> Form | None:
        """(c exp(x) - c exp(y)) / (d exp(x) + d exp(y)) is c / d tanh((x - y) / 2)."""
        (first, second), (third, fourth) = a.terms, b.terms
        pairs = (third, fourth) if self._same(first.exponent, third.exponent) else None
        if pairs is None and self._same(first.exponent, fourth.exponent):
            pairs = (fourth, third)
        if pairs is None or not self._same(second.exponent, pairs[1].exponent):
            return None
        exponent = exponent_between(first.exponent, second.exponent, self.leaves)
        if not (b.is_positive and third.factor == fourth.factor) or exponent is None:
            return None
        ratio = Scaled(over(first.factor, third.factor), exponent)
        if not is_usable(ratio, exponent.dtype):
            return None
        value = hyperbolic_tangent(mul(exponent, as_operand(0.5, exponent)))
        return Scaled(times(ratio.factor, value), None)

    def collapse(self, form: Form, like: Variable) -> Scaled:
        """The form as one scaled number. Where terms are added, the exponent is their maximum."""
        if isinstance(form, Scaled):
            return form
        if isinstance(form, Sum) and len(form.terms) == 1:
            return form.terms[0]
        if form not in self._collapsed:
            self._collapsed[form] = self._collapse(form, like)
        return self._collapsed[form]

    def _collapse(self, form: Sum | Total | Named | Pieces, like: Variable) -> Scaled:
        if isinstance(form, Pieces):
            return self._collapse_pieces(form)
        if isinstance(form, Sum):
            return self._collapse_sum(form, like)
        if isinstance(form, Total):
            top = self.top(form.exponent, form.axes)
            rest = sum_(exp(sub(form.exponent, top)), form.axes, keepdims=True)
            return Scaled(rest, top)
        factor = 1.0 if isinstance(form, Rest) else form.factor
        exponent = self._log(form, like)
        return Scaled(factor, exponent)

    def _collapse_sum(self, form: Sum, like: Variable) -> Scaled:
        factors = [t.factor for t in form.terms]
        exponents = [filled(0, like) if t.exponent is None else t.exponent for t in form.terms]
        largest = functools.reduce(maximum, map(_where_nonzero, factors, exponents))
        top = _stopped(largest, functools.reduce(maximum, exponents), factors)
        if form.is_difference:
            parts = [
                _scaled(f, expm1(sub(m, top))) for f, m in zip(factors, exponents, strict=True)
            ]
        else:
            parts = [_weighted(f, m, top) for f, m in zip(factors, exponents, strict=True)]
        return Scaled(functools.reduce(add, parts), top)

    def weighted_total(self, factor: Factor, exponent: Variable, axes: tuple[int, ...]) -> Form:
        """The sum of factor * exp(exponent) over axes, which it keeps."""
        if factor == 1.0:
            return Total(exponent, axes)
        largest = LARGEST(_where_nonzero(factor, exponent), axes=axes)
        top = _stopped(largest, LARGEST(exponent, axes=axes), [factor])
        return Scaled(sum_(_weighted(factor, exponent, top), axes, keepdims=True), top)

    def _collapse_pieces(self, form: Pieces) -> Scaled:
        parts = [_without_zero(self.collapse(part, v), v) for part, v in form.parts]
        variables = [v for _, v in form.parts]

        def built(values: Sequence[Factor | None]) -> Variable:
            pairs = zip(values, variables, strict=True)
            return form.build([self.filled_like(value, v) for value, v in pairs])

        exponents = [p.exponent for p in parts]
        exponent = None if all(m is None for m in exponents) else built(exponents)
        if all(p.factor == parts[0].factor for p in parts) and isinstance(parts[0].factor, float):
            return Scaled(parts[0].factor, exponent)
        return Scaled(built([p.factor for p in parts]), exponent)

    def whole(self, part: Variable, v: Variable) -> Variable:
        """A part of the form of `v`, with the shape of `v`."""
        same_shape = part.broadcastable == v.broadcastable
        return part if same_shape else broadcast_like(part, v)

    def filled_like(self, part: Factor | None, v: Variable) -> Variable:
        """The same, also where the part is a number; None is the number 0."""
        if not isinstance(part, Variable):
            part = filled(part or 0.0, v)
        return self.whole(part, v)

    def top(self, exponent: Variable, axes: tuple[int, ...]) -> Variable:
        """The maximum over axes, which it keeps; a constant for gradients."""
        key = (exponent, axes)
        if key not in self._tops:
            self._tops[key] = top(exponent, axes)
        return self._tops[key]

    # --- logarithms -------------------------------------------------------------------------------

    def log(self, form: Form, like: Variable) -> Variable:
        """The logarithm of a form."""
        result = self._log_of(form, like)
        self.logs[result] = form
        return result

    def log_of_ratio(self, exponent: Variable, form: Form, like: Variable) -> Variable | None:
        """exponent - log(form) where exp(exponent) / form has a name."""
        named = self._named_quotient(Scaled(1.0, exponent), form, like)
        return None if named is None else self.log(named, like)

    def _log_of(self, form: Form, like: Variable) -> Variable:
        if isinstance(form, Scaled):
            return _plus(form.exponent, self.log_of_factor(form.factor), like)
        if isinstance(form, Sum):
            return self._log_of_sum(form, like)
        if isinstance(form, Pieces):
            return form.build([self.whole(self.log(part, v), v) for part, v in form.parts])
        if isinstance(form, Total):
            top = self.top(form.exponent, form.axes)
            total = LOG_SUM_EXP(form.exponent, top, axes=form.axes)
            return add(top, total)
        factor = 1.0 if isinstance(form, Rest) else form.factor
        return _plus(self._log(form, like), self.log_of_factor(factor), like)

    def log_of_factor(self, factor: Factor) -> Factor:
        """The logarithm of a factor."""
        if isinstance(factor, Variable):
            return log(factor)
        return math.log(factor) if factor > 0 else -math.inf if factor == 0 else math.nan

    def _log(self, form: Named, like: Variable) -> Variable:
        """The logarithm without the factor."""
        if isinstance(form, Sigmoid):
            return neg(softplus(minus(form.argument)))
        if isinstance(form, Rest):
            return LOG_REST(form.share.argument, axes=form.share.axes)
        if form.is_op:
            return LOG_SOFTMAX(form.argument)
        return LOG_SHARE(form.argument, axes=form.axes)

    def _log_of_sum(self, form: Sum, like: Variable) -> Variable:
        if form.is_difference:
            return self._log_of_difference(form, like)
        if not form.is_positive:
            return self.log(self.collapse(form, like), like)
        parts: list[Variable] = []
        plain = 0.0
        for term in form.terms:
            assert isinstance(term.factor, float)
            if term.exponent is None:
                plain += term.factor
            else:
                parts.append(shifted(term.exponent, math.log(term.factor), like))
        if plain and (plain != 1 or len(parts) > 1):
            parts.append(filled(math.log(plain), like))
        if len(parts) == 1:
            return softplus(parts[0]) if plain else parts[0]
        if len(parts) == 2:
            return LOGADDEXP(*parts)
        return self._log_of_terms(parts, like)

    def _log_of_terms(self, exponents: Sequence[Variable], like: Variable) -> Variable:
        """log(exp(a) + exp(b) + ...), along a new axis."""
        axes = (like.ndim,)
        stacked = stack([self.whole(m, like) for m in exponents], axis=like.ndim)
        total = self.log(Total(stacked, axes), stacked)
        return dimshuffle(total, *range(like.ndim))

    def _log_of_difference(self, form: Sum, like: Variable) -> Variable:
        """log(c exp(a) - c exp(b)) is log(c) + a + log(1 - exp(b - a))."""
        larger, smaller = form.terms
        assert isinstance(larger.factor, float)
        if larger.factor < 0:
            larger, smaller = smaller, larger
        return _plus(
            _plus(larger.exponent, log1mexp(self._distance(smaller, larger, like)), like),
            self.log_of_factor(larger.factor),
            like,
        )

    def _distance(self, smaller: Scaled, larger: Scaled, like: Variable) -> Variable:
        """The exponent of smaller / larger; 0 where both are 0, whose difference is 0."""
        a, b = smaller.exponent, larger.exponent
        between = exponent_between(a, b, self.leaves)
        if between is None:
            return filled(0, like)
        if a is None or b is None:
            return between
        return switch(and_(eq(a, -math.inf), eq(b, -math.inf)), 0, between)

    # --- values -----------------------------------------------------------------------------------

    def value(self, form: Form, like: Variable) -> Variable:
        """The form's value, computed in a stable way."""
        if isinstance(form, Scaled):
            if form.exponent is None:
                return filled(form.factor, like) if isinstance(form.factor, float) else form.factor
            return _times_exp(form.factor, form.exponent)
        if isinstance(form, Pieces):
            return form.build([self.whole(self.value(part, v), v) for part, v in form.parts])
        if isinstance(form, Sum) and form.is_difference:
            return self._difference(form)
        if isinstance(form, Sum):
            values = [self.value(t, like) for t in form.terms]
            total = values[0]
            for v in values[1:]:
                total = add(total, v)
            return total
        if isinstance(form, Sigmoid):
            return _scaled(form.factor, logistic(form.argument))
        if isinstance(form, Share):
            x = form.argument
            share = SOFTMAX(x) if form.is_op else SHARE(x, axes=form.axes)
            return _scaled(form.factor, share)
        if isinstance(form, Rest):
            return REST(form.share.argument, axes=form.share.axes)
        return self.value(self.collapse(form, like), like)

    def _difference(self, form: Sum) -> Variable:
        """c exp(a) - c exp(b), without cancellation: c expm1(a) if b is 0."""
        first, second = form.terms
        for term, other in ((first, second), (second, first)):
            if other.exponent is None and term.exponent is not None:
                return _scaled(term.factor, expm1(term.exponent))
        assert first.exponent is not None
        assert second.exponent is not None
        return _scaled(first.factor, EXP_DIFFERENCE(first.exponent, second.exponent))


def _where_nonzero(factor: Factor, exponent: Variable) -> Variable:
    """The exponent; minus infinity where the factor is 0."""
    if isinstance(factor, float):
        return exponent
    return switch(eq(factor, 0), -math.inf, exponent)


def _stopped(largest: Variable, otherwise: Variable, factors: Sequence[Factor]) -> Variable:
    """The maximum of exponents, a constant for gradients: what it is doesn't matter, as long as it
    is the same everywhere. otherwise: what to take where all factors are 0."""
    if any(isinstance(f, Variable) for f in factors):
        largest = switch(isinf(largest), otherwise, largest)
    return stop_gradient(finite(largest))


def _weighted(factor: Factor, exponent: Variable, top: Variable) -> Variable:
    """factor * exp(exponent - top), also where that exponential is too large, as it may be only
    where the factor is 0."""
    return _times_exp(factor, sub(exponent, top))


def _times_exp(factor: Factor, exponent: Variable) -> Variable:
    """factor * exp(exponent)."""
    if isinstance(factor, float):
        if abs(factor) == 1:
            return _scaled(factor, exp(exponent))
        factor = filled(factor, exponent)
    return MUL_EXP(factor, exponent)


def _without_zero(part: Scaled, like: Variable) -> Scaled:
    """0 as exp(-inf), which is never the largest exponent."""
    return Scaled(1.0, filled(-math.inf, like)) if part.factor == 0.0 else part


def _plus(a: Variable | None, b: Factor, like: Variable) -> Variable:
    if a is None:
        return filled(b, like) if isinstance(b, float) else b
    return a if b == 0.0 else add(a, as_operand(b, a))


def _scaled(factor: Factor, v: Variable) -> Variable:
    if factor == 1.0:
        return v
    return neg(v) if factor == -1.0 else mul(as_operand(factor, v), v)


_LN2 = math.log(2)


def log1mexp(x: Variable) -> Variable:
    """log(1 - exp(x)), accurate for x close to 0 and far from it; NaN for x > 0."""
    return switch(gt(x, -_LN2), log(neg(expm1(x))), log1p(neg(exp(x))))
