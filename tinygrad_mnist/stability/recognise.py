"""The form of a variable, read from the expression that makes it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.elementwise import cast
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
    minus,
    same,
)

# Ops that only select, move or repeat elements of their first input.
VIEWS = ("dimshuffle", "reshape", "subtensor", "alloc")
_DEPTH = 40  # of the expressions that are read; what lies deeper counts as any other value
_TERMS = 8  # of a sum that are kept apart

Reader = Callable[["Recogniser", Node], Form | None]


class Recogniser(Calculus):
    """Calculus over the variables of a graph; keeps what it found.

    leaves: variables into whose expressions nothing may look. readers: for the name of an op, what
    reads the form of its result.
    """

    def __init__(self, leaves: Container[Variable], readers: Mapping[str, Reader]) -> None:
        super().__init__(leaves)
        self._readers = readers
        self._forms: dict[Variable, Form | None] = {}
        self._known: dict[bool, dict[Variable, Form | None]] = {False: self._forms, True: {}}
        self._depth = 0
        self.is_deep = False

    def deep_form(self, v: Variable) -> Form | None:
        """The form of `v`, also of sums and products of probabilities: of these `form` has none,
        since they can't overflow. Only their logarithms need one."""
        with self._reading_deep():
            return self.form(v)

    def deep_sum(self, forms: Sequence[Form], like: Variable) -> Form | None:
        """The sum of two forms, also of probabilities."""
        with self._reading_deep():
            return self.sum_of(forms, like)

    @contextmanager
    def _reading_deep(self) -> Iterator[None]:
        before = self.is_deep
        self.is_deep, self._forms = True, self._known[True]
        try:
            yield
        finally:
            self.is_deep, self._forms = before, self._known[before]

    def is_plain_enough(self, *forms: Form | None) -> bool:
        """Whether all are probabilities, or multiples, and what is made of them needs no form."""
        return not self.is_deep and all(f is None or is_tame(f) for f in forms)

    def form(self, v: Variable) -> Form | None:
        """The form of `v`; None if it is not built from exponentials, or only from probabilities
        (see `deep_form`)."""
        if v in self._forms:
            return self._forms[v]
        node = self.node(v)
        read = None if node is None else self._readers.get(node.op.name)
        if node is None or read is None or not v.type.is_float or self._depth == _DEPTH:
            return None
        self._depth += 1
        try:
            form = read(self, node)
        finally:
            self._depth -= 1
        self._forms[v] = form
        return form

    def learn(self, v: Variable, form: Form) -> None:
        """Records that `form` is the form of `v`, which was made of it."""
        for known in self._known.values():
            known[v] = form

    def node(self, v: Variable) -> Node | None:
        """The node that makes `v`, unless `v` is a leaf."""
        return None if v in self.leaves else v.node

    def operand(self, v: Variable, *ops: str) -> Variable | None:
        """The first input of the node that makes `v`, if it is of one of these ops."""
        node = self.node(v)
        return node.inputs[0] if node is not None and node.op.name in ops else None

    def number(self, v: Variable) -> float | None:
        """The number that fills `v`, seen through views; None for anything else."""
        while (source := self.operand(v, *VIEWS, "cast")) is not None:
            v = source
        if isinstance(v, Constant) and v.value.size == 1 and v not in self.leaves:
            return float(v.value.item())
        return None

    def plain(self, v: Variable) -> Scaled:
        """`v` as a scaled number without exponent."""
        number = self.number(v)
        return Scaled(v if number is None else number, None)

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
        has_cancelled = False
        for form in forms:
            for term in form.terms if isinstance(form, Sum) else (self.collapse(form, like),):
                has_cancelled |= not _add_term(self, terms, term)
        if len(terms) > _TERMS:
            return None
        if all(t.exponent is None for t in terms) and not (has_cancelled and len(terms) == 1):
            return None
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def operands(self, node: Node) -> list[Form] | None:
        """The forms of a node's inputs, in its dtype; None if all are plain."""
        forms = [self.form(v) for v in node.inputs]
        if all(form is None for form in forms):
            return None
        dtype = node.outputs[0].dtype
        return [
            self.plain(cast(v, dtype))
            if form is None
            else form
            if v.dtype == dtype
            else self.mapped(form, v, lambda u: cast(u, dtype))
            for form, v in zip(forms, node.inputs, strict=True)
        ]

    def logged(self, v: Variable) -> Form | None:
        """The sum of exponentials of which `v` is the logarithm."""
        z = self.operand(v, "softplus")
        if z is not None:
            return Sum((ONE, Scaled(1.0, z)))
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
