"""The form of a variable, read from the expression that makes it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from tinygrad_mnist.graph.fold import fold
from tinygrad_mnist.graph.op import constant
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.elementwise import cast, eq
from tinygrad_mnist.ops.logical import or_
from tinygrad_mnist.stability.calculus import Calculus
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
    is_number,
    is_tame,
    is_usable,
    minus,
    same,
    total_exponent,
    zero_of_term,
)

LOGARITHMS = ("log", "log2", "log10", "log1p")
# Ops that only select, move or repeat elements of their first input.
VIEWS = ("dimshuffle", "reshape", "subtensor", "alloc")
_LOG_CARRIERS = ("neg", "true_div", "cast", "identity", *VIEWS)
_TERMS = 8  # of a sum that are kept apart

Reader = Callable[["Recogniser", Node], Form | None]


class Recogniser(Calculus):
    """Calculus over the variables of a graph; keeps what it found.

    leaves: variables into whose expressions nothing may look. readers: for the name of an op, what
    reads the form of its result. deep: another recogniser of the same graph, which has forms of
    sums and products of probabilities too. They can't overflow, so only logarithms need these.
    """

    def __init__(self, leaves: Container[Variable], readers: Mapping[str, Reader]) -> None:
        super().__init__(leaves)
        self._readers = readers
        self._forms: dict[Variable, Form | None] = {}
        self._logs_of_0: dict[Variable, Variable | None] = {}
        self.is_deep = False
        self.deep = copy(self)
        self.deep._forms = {}
        self.deep.is_deep = True

    def is_plain_enough(self, *forms: Form | None) -> bool:
        """Whether all are probabilities, or multiples, and what is made of them needs no form."""
        return not self.is_deep and all(f is None or is_tame(f) for f in forms)

    def form(self, v: Variable) -> Form | None:
        """The form of `v`; None if it is not built from exponentials, or only from probabilities
        (see `deep`)."""
        if v not in self._forms:
            for u in after_inputs(v, self._forms, self._read_inputs):
                node, read = u.node, self._reader(u)
                form = None if node is None or read is None else read(self, node)
                self._forms[u] = form if form is None or is_usable(form, u.dtype) else None
        return self._forms[v]

    def _reader(self, v: Variable) -> Reader | None:
        node = self.node(v)
        return self._readers.get(node.op.name) if node is not None and v.type.is_float else None

    def _read_inputs(self, v: Variable) -> Sequence[Variable]:
        """The variables whose forms may be in that of `v`."""
        return v.node.inputs if v.node is not None and self._reader(v) is not None else ()

    def learn(self, v: Variable, form: Form) -> None:
        """Records that `form` is the form of `v`, which was made of it."""
        self._forms[v] = self.deep._forms[v] = form

    def node(self, v: Variable) -> Node | None:
        """The node that makes `v`, unless `v` is a leaf."""
        return None if v in self.leaves else v.node

    def operand(self, v: Variable, *ops: str) -> Variable | None:
        """The first input of the node that makes `v`, if it is of one of these ops."""
        node = self.node(v)
        return node.inputs[0] if node is not None and node.op.name in ops else None

    def number(self, v: Variable) -> float | None:
        """The number that fills `v`, seen through views and casts; None for anything else."""
        dtypes = []
        while (source := self.operand(v, *VIEWS, "cast")) is not None:
            dtypes.append(v.dtype)
            v = source
        if not isinstance(v, Constant) or v.value.size != 1 or v in self.leaves:
            return None
        number: Variable = v
        if any(dtype != v.dtype for dtype in dtypes):
            number = constant(v.value.reshape(()), v.dtype)
            for dtype in reversed(dtypes):
                number = fold(cast(number, dtype))
        return float(number.value.item()) if isinstance(number, Constant) else None

    def plain(self, v: Variable) -> Scaled:
        """`v` as a scaled number without exponent."""
        number = self.number(v)
        return Scaled(v if number is None or not math.isfinite(number) else number, None)

    def form_or_plain(self, v: Variable) -> Form:
        form = self.form(v)
        return self.plain(v) if form is None else form

    def sum_of(self, forms: Sequence[Form], like: Variable) -> Form | None:
        """The sum of two forms; None where it is not worth a form."""
        first, second = forms
        if is_number(second):
            first, second = second, first
        if is_number(first) and isinstance(second, Pieces):
            sums = [self.sum_of([first, form], v) for form, v in second.parts]
            parts = [(s, v) for s, (_, v) in zip(sums, second.parts, strict=True) if s is not None]
            return Pieces(tuple(parts), second.build) if len(parts) == len(sums) else None
        complement = _complement(self, forms)
        if complement is not None:
            return complement
        if self.is_plain_enough(*forms):
            return None
        terms: list[Scaled] = []
        cancelled: list[Scaled] = []
        for form in forms:
            for term in form.terms if isinstance(form, Sum) else (self.collapse(form, like),):
                if not (_is_zero(term) or _add_term(self, terms, term)):
                    cancelled.append(term)
        if all(t.exponent is None for t in terms) and not (cancelled and len(terms) == 1):
            return None
        for zero in map(zero_of_term, cancelled):
            terms[0] = Scaled(terms[0].factor, total_exponent(terms[0].exponent, zero))
        if len(terms) == 1:
            return terms[0]
        total = Sum(tuple(terms))
        return total if len(terms) <= _TERMS else Sum((self.collapse(total, like),))

    def operands(self, node: Node) -> list[Form] | None:
        """The forms of a node's inputs, in its dtype; None if all are plain."""
        forms = [self.form(v) for v in node.inputs]
        if all(form is None for form in forms):
            return None
        dtype = node.outputs[0].dtype
        forms = [self.form_in(v, dtype) for v in node.inputs]
        return [
            self.plain(cast(v, dtype)) if form is None else form
            for form, v in zip(forms, node.inputs, strict=True)
        ]

    def form_in(self, v: Variable, dtype: str) -> Form | None:
        """The form of `v` as another dtype."""
        form = self.form(v)
        if form is None or v.dtype == dtype:
            return form
        return self.mapped(form, v, lambda u: cast(u, dtype))

    def log_of_0(self, v: Variable) -> Variable | None:
        """Where a logarithm of 0 is in `v`, a logarithm, or a sum or multiple of one: a variable of
        bools. None where no such logarithm is in `v`."""
        if v not in self._logs_of_0:
            for u in after_inputs(v, self._logs_of_0, self._log_inputs):
                node = self.node(u)
                self._logs_of_0[u] = None if node is None else self._where_log_of_0(node)
        return self._logs_of_0[v]

    def _log_inputs(self, v: Variable) -> Sequence[Variable]:
        """Operands whose infinity of a logarithm `v` would have too."""
        node = self.node(v)
        if node is None:
            return ()
        if node.op.name in ("add", "sub", "mul"):
            return node.inputs
        return node.inputs[:1] if node.op.name in _LOG_CARRIERS else ()

    def _where_log_of_0(self, node: Node) -> Variable | None:
        x, name = node.inputs[0], node.op.name
        if name in LOGARITHMS:
            zero = -1 if name == "log1p" else 0
            number = self.number(x)
            return eq(x, zero) if number is None or number == zero else None
        if name == "mul_log":
            return node.inputs[2]
        found = [self._logs_of_0[v] for v in self._log_inputs(node.outputs[0])]
        bools = [v for v in found if v is not None]
        if bools and name in VIEWS:
            return node.op(self.whole(bools[0], x), *node.inputs[1:], **node.params)
        return functools.reduce(or_, bools) if bools else None

    def logged(self, v: Variable) -> Form | None:
        """The sum of exponentials of which `v` is the logarithm."""
        z = self.operand(v, "softplus")
        if z is not None:
            return Sum((ONE, Scaled(1.0, cast(z, v.dtype))))
        node = self.node(v)
        source = None if node is None else self.without_moves(node)
        return self.logs.get(v if source is None else source)

    def without_moves(self, node: Node) -> Variable | None:
        """The array that dimshuffles bring back to what it was, such as a sum whose axis was
        dropped and added again."""
        pattern: tuple[Any, ...] = tuple(range(node.outputs[0].ndim))
        current: Node | None = node
        while current is not None and current.op.name == "dimshuffle":
            pattern = tuple(p if p == "x" else current.params["pattern"][p] for p in pattern)
            x = current.inputs[0]
            if len(pattern) == x.ndim and all(
                p == i or (p == "x" and x.broadcastable[i]) for i, p in enumerate(pattern)
            ):
                return x
            current = self.node(x)
        return None

    def mapped(self, form: Form, v: Variable, move: Callable[[Variable], Variable]) -> Form:
        """The form of `v` with `move` applied to all that it consists of."""

        def moved(factor: Factor) -> Factor:
            return factor if isinstance(factor, float) else move(factor)

        def moved_term(term: Scaled) -> Scaled:
            exponent = None if term.exponent is None else move(term.exponent)
            return Scaled(moved(term.factor), exponent)

        if isinstance(form, Pieces):
            return Pieces(form.parts, lambda values: move(form.build(values)))
        if isinstance(form, Total | Share | Rest):
            return Pieces(((form, v),), lambda values: move(values[0]))
        if isinstance(form, Sigmoid):
            return Sigmoid(moved(form.factor), move(form.argument))
        if isinstance(form, Sum):
            return Sum(tuple(moved_term(t) for t in form.terms))
        return moved_term(form)


def after_inputs(
    v: Variable,
    done: Container[Variable],
    inputs: Callable[[Variable], Sequence[Variable]],
) -> Iterator[Variable]:
    """`v` and all below it that is not yet in `done`, each after its `inputs`. The caller adds each
    to `done`. No expression is too deep, as it could be for recursion."""
    stack = [v]
    while stack:
        missing = [u for u in inputs(stack[-1]) if u not in done]
        if missing:
            stack.extend(missing)
        elif (u := stack.pop()) not in done:
            yield u


def _is_zero(form: Form) -> bool:
    return isinstance(form, Scaled) and is_number(form) and form.factor == 0.0


def _add_term(r: Recogniser, terms: list[Scaled], term: Scaled) -> bool:
    """Adds a term to a sum; multiples of one exponential become one term. Whether no two terms
    cancelled."""
    for i, other in enumerate(terms):
        if not same(other.exponent, term.exponent, r.leaves):
            continue
        total = _total_factor(r, other.factor, term.factor)
        if total == 0.0 and len(terms) == 1:
            break  # exp(a) - exp(a) stays a difference
        if total is not None:
            terms[i : i + 1] = [Scaled(total, term.exponent)] if total else []
            return total != 0
    terms.append(term)
    return True


def _total_factor(r: Recogniser, a: Factor, b: Factor) -> float | None:
    """a + b where it is a number; None for any other."""
    if isinstance(a, float) and isinstance(b, float):
        return a + b
    if isinstance(a, Variable) and isinstance(b, Variable):
        return 0.0 if same(a, minus(b), r.leaves) or same(minus(a), b, r.leaves) else None
    return None


def _complement(r: Recogniser, forms: Sequence[Form]) -> Form | None:
    """c - c * sigmoid(z) is c * sigmoid(-z), and 1 - p for a share p."""
    for number, form in (forms, forms[::-1]):
        if not (isinstance(number, Scaled) and number.exponent is None):
            continue
        c = number.factor
        if isinstance(form, Sigmoid) and isinstance(c, float) and form.factor == -c:
            return Sigmoid(c, minus(form.argument))
        if isinstance(form, Share) and c == 1.0 and form.factor == -1.0:
            return Rest(replace(form, factor=1.0))
    return None
