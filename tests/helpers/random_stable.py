"""Random expressions of exponentials, logarithms, quotients, sums, switches and views, in the
engine and in mpmath with 50 digits.

An expression is a tree of tuples, in which equal subtrees are one variable. `make` draws one,
`symbolic` makes a graph of it, and `exact` computes values and gradients. The cost is the sum of
its elements.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

AnyArray = NDArray[Any]
Tree = tuple[Any, ...]
SHAPE = (2, 3)
SIZE = 6
KINDS = ("exp", "log", "div", "sum", "switch", "view")
mp = mpmath.mp.clone()
mp.dps = 50
# exp of more would need integers of unlimited length for its exponent.
_LARGEST_EXPONENT = mp.mpf(10) ** 12


# --- drawing --------------------------------------------------------------------------------------


@dataclass
class Drawn:
    """A tree with what is known of its values.

    positive: all values are positive. partial: an axis has length 1 and broadcasts.
    """

    tree: Tree
    positive: bool = False
    partial: bool = False


class Generator:
    """Draws expressions of at most `depth` ops in a row."""

    def __init__(self, seed: int, depth: int = 6) -> None:
        self.random = random.Random(seed)
        self.depth = depth
        self._known: list[Drawn] = []

    def make(self) -> Tree:
        """One expression."""
        self._known = []
        return self._draw(self.random.randint(3, self.depth)).tree

    def _draw(self, depth: int, positive: bool = False) -> Drawn:
        if depth and self._known and self.random.random() < 0.15:
            found = self.random.choice(self._known)
            if found.positive or not positive:
                return found
        drawn = self._leaf(positive) if not depth else self._node(depth - 1, positive)
        if len(drawn.tree) > 1 and not drawn.partial:
            self._known.append(drawn)
        return drawn

    def _leaf(self, positive: bool) -> Drawn:
        if self.random.random() < 0.15:
            return Drawn(("number", self.random.choice([1.0, 2.0, 0.5, 3.0])), True, True)
        if positive or self.random.random() < 0.3:
            return Drawn(("p",), True)
        return Drawn(("x",))

    def _node(self, depth: int, positive: bool) -> Drawn:
        kinds = ["exp", "exp", "exp", "div", "div", "add", "add", "sum", "switch", "view", "mul"]
        if not positive:
            kinds += ["log", "log", "log", "neg", "sub"]
        return getattr(self, f"_{self.random.choice(kinds)}")(depth, positive)  # type: ignore[no-any-return]

    def _exp(self, depth: int, positive: bool) -> Drawn:
        a = self._draw(depth)
        return Drawn(("exp", a.tree), True, a.partial)

    def _log(self, depth: int, positive: bool) -> Drawn:
        a = self._draw(depth, positive=self.random.random() < 0.95)
        return Drawn(("log", a.tree), False, a.partial)

    def _neg(self, depth: int, positive: bool) -> Drawn:
        a = self._draw(depth)
        return Drawn(("neg", a.tree), False, a.partial)

    def _two(self, name: str, depth: int, positive: bool) -> Drawn:
        a = self._draw(depth, positive)
        b = self._draw(self.random.randint(0, depth), positive)
        if self.random.random() < 0.5:
            a, b = b, a
        known = a.positive and b.positive and name != "sub"
        return Drawn((name, a.tree, b.tree), known, a.partial and b.partial)

    def _add(self, depth: int, positive: bool) -> Drawn:
        return self._two("add", depth, positive)

    def _sub(self, depth: int, positive: bool) -> Drawn:
        return self._two("sub", depth, positive)

    def _mul(self, depth: int, positive: bool) -> Drawn:
        return self._two("mul", depth, positive)

    def _div(self, depth: int, positive: bool) -> Drawn:
        if depth and self.random.random() < 0.3:  # as a softmax does
            a = self._draw(depth - 1, positive)
            if not a.partial:
                total = ("sum", self.random.choice([0, 1]), a.tree)
                return Drawn(("div", a.tree, total), a.positive)
        return self._two("div", depth, positive)

    def _sum(self, depth: int, positive: bool) -> Drawn:
        a = self._draw(depth, positive)
        if a.partial:
            return a
        return Drawn(("sum", self.random.choice([0, 1]), a.tree), a.positive, True)

    def _switch(self, depth: int, positive: bool) -> Drawn:
        limit = self.random.choice([0.0, 0.0, 1.0])
        a, b = self._draw(depth, positive), self._draw(self.random.randint(0, depth), positive)
        return Drawn(("switch", limit, a.tree, b.tree), a.positive and b.positive)

    def _view(self, depth: int, positive: bool) -> Drawn:
        a = self._draw(depth, positive)
        if a.partial:
            return a
        return Drawn(("view", self.random.choice(list(VIEWS)), a.tree), a.positive)


def inputs(seed: int) -> tuple[AnyArray, AnyArray]:
    """Values for x, of any sign, and p, positive: of sizes from 0.01 to 300."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=SHAPE) * 10 ** rng.uniform(-2, 2, size=SHAPE)
    p = np.abs(rng.normal(size=SHAPE)) * 10 ** rng.uniform(-2, 2, size=SHAPE) + 1e-3
    return x.astype("float32"), p.astype("float32")


def kinds_of(tree: Tree) -> set[str]:
    """Which of the ops are in a tree."""
    found = {tree[0]}
    for part in tree[1:]:
        if isinstance(part, tuple):
            found |= kinds_of(part)
    return found


# --- as a graph -----------------------------------------------------------------------------------

# Each is the same for NumPy's arrays, the last one by `_concatenate`.
VIEWS: dict[str, Callable[[Any], Any]] = {
    "flip": lambda v: v[::-1, ::-1],
    "transposed": lambda v: v.reshape((3, 2)).T,
    "flat": lambda v: v.reshape((6,)).reshape((2, 3)),
    "gathered": lambda v: v[np.array([1, 1])],
    "rolled": lambda v: _concatenate(v[:, 1:], v[:, :1]),
}


def _concatenate(a: Any, b: Any) -> Any:
    join = np.concatenate if isinstance(a, np.ndarray) else T.concatenate
    return join([a, b], axis=1)


def symbolic(tree: Tree, leaves: dict[str, Any]) -> Any:
    """The tree as an expression of the variables `x` and `p`."""
    return _build(tree, leaves, _Symbolic, {})


def _build(tree: Tree, leaves: dict[str, Any], math: Any, done: dict[Tree, Any]) -> Any:
    if tree not in done:
        done[tree] = _apply(tree, leaves, math, done)
    return done[tree]


def _apply(tree: Tree, leaves: dict[str, Any], math: Any, done: dict[Tree, Any]) -> Any:
    name, *rest = tree
    if name in leaves:
        return leaves[name]
    if name == "number":
        return math.number(rest[0], leaves["x"].dtype)
    parts = [_build(part, leaves, math, done) for part in rest if isinstance(part, tuple)]
    if name == "view":
        return VIEWS[rest[0]](parts[0])
    if name == "sum":
        return parts[0].sum(axis=rest[0], keepdims=True)
    if name == "switch":
        return math.switch(math.gt(leaves["x"], rest[0]), *parts)
    if name in ("exp", "log"):
        return getattr(math, name)(parts[0])
    return _ARITHMETIC[name](*parts)


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "neg": lambda a: -a,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}


class _Symbolic:
    """The functions that trees use."""

    gt, exp, log, switch = T.gt, T.exp, T.log, T.switch

    @staticmethod
    def number(value: float, dtype: Any) -> Any:
        return T.constant(np.full((1, 1), value, dtype))


# --- in mpmath ------------------------------------------------------------------------------------


class Dual:
    """A number with its derivatives by all inputs; None of them are zeros."""

    __slots__ = ("slopes", "value")

    def __init__(self, value: Any, slopes: dict[int, Any]) -> None:
        self.value = value
        self.slopes = slopes

    def _with(self, value: Any, *parts: tuple[Dual, Any]) -> Dual:
        slopes: dict[int, Any] = {}
        for dual, factor in parts:
            for i, slope in dual.slopes.items():
                slopes[i] = slopes.get(i, 0) + factor * slope
        return Dual(value, slopes)

    def __neg__(self) -> Dual:
        return self._with(-self.value, (self, -1))

    def __add__(self, other: Any) -> Dual:
        b = _dual(other)
        return self._with(self.value + b.value, (self, 1), (b, 1))

    def __sub__(self, other: Any) -> Dual:
        b = _dual(other)
        return self._with(self.value - b.value, (self, 1), (b, -1))

    def __mul__(self, other: Any) -> Dual:
        b = _dual(other)
        return self._with(self.value * b.value, (self, b.value), (b, self.value))

    def __truediv__(self, other: Any) -> Dual:
        b = _dual(other)
        if b.value == 0:
            return _undefined()
        z = self.value / b.value
        return self._with(z, (self, 1 / b.value), (b, -z / b.value))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> Dual:
        return _dual(other) - self

    def __rtruediv__(self, other: Any) -> Dual:
        return _dual(other) / self

    def exp(self) -> Dual:
        if not abs(self.value) < _LARGEST_EXPONENT:
            return _undefined()
        z = mp.exp(self.value)
        return self._with(z, (self, z))

    def log(self) -> Dual:
        if not self.value > 0:
            return _undefined()
        return self._with(mp.log(self.value), (self, 1 / self.value))


def _undefined() -> Dual:
    """What has no real value, or none that mpmath can hold."""
    return Dual(mp.nan, {})


def _dual(value: Any) -> Dual:
    return value if isinstance(value, Dual) else Dual(mp.mpf(value), {})


class _Exact:
    """The functions that trees use, for arrays of `Dual`.

    A branch that a switch doesn't take need not have a value.
    """

    @staticmethod
    def number(value: float, dtype: Any) -> Any:
        result = np.empty((1, 1), object)
        result[0, 0] = _dual(value)
        return result

    gt = staticmethod(lambda a, limit: np.vectorize(lambda v: v.value > limit)(a))
    exp = staticmethod(lambda a: _each(Dual.exp, a))
    log = staticmethod(lambda a: _each(Dual.log, a))

    @staticmethod
    def switch(condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, a, b)


def _each(f: Callable[[Dual], Dual], a: Any) -> Any:
    result = np.empty(a.shape, object)
    for i, v in np.ndenumerate(a):
        result[i] = f(v)
    return result


def exact(tree: Tree, x: AnyArray, p: AnyArray, digits: int = 50) -> tuple[Any, Any, Any]:
    """The elements of an expression, and the gradients of their sum by x and p, in mpmath.

    What is undefined is NaN.
    """
    with mp.workdps(digits):
        leaves = {"x": _variables(x, 0), "p": _variables(p, SIZE)}
        elements = list(_build(tree, leaves, _Exact, {}).flat)
        slopes: list[Any] = [mp.mpf(0)] * (2 * SIZE)
        for v in elements:
            for i, slope in v.slopes.items():
                slopes[i] += slope
        return [v.value for v in elements], slopes[:SIZE], slopes[SIZE:]


def _variables(values: AnyArray, first: int) -> Any:
    result = np.empty(SHAPE, object)
    for number, (i, v) in enumerate(np.ndenumerate(values)):
        result[i] = Dual(mp.mpf(float(v)), {first + number: mp.mpf(1)})
    return result


# --- comparison -----------------------------------------------------------------------------------

# The relative error that is allowed. Where mpmath's numbers lie outside of these, nothing is
# claimed.
BOUND = {"float32": 2e-3, "float64": 1e-9}
LOWEST, HIGHEST = 1e-30, 1e30


@dataclass
class Outcome:
    """What became of one expression.

    kinds: its ops. claims: numbers of it, values and gradients, that mpmath says to lie in range.
    wrong: for each number that isn't within the bound, of which kind it is.
    """

    kinds: set[str]
    claims: int
    wrong: list[str]


def compare(seed: int, dtype: str) -> Outcome:
    """The expression of a seed, with its gradients, on the CPU and in mpmath."""
    tree = Generator(seed).make()
    x, p = inputs(seed)
    numbers = exact(tree, x, p)
    if not all(mp.isfinite(v) for part in numbers for v in part):
        return Outcome(kinds_of(tree), 0, [])
    results = _computed(tree, x.astype(dtype), p.astype(dtype))
    claims, wrong = 0, []
    for name, part, result in zip(("value", "gradient", "gradient"), numbers, results, strict=True):
        for i, (wanted, r) in enumerate(zip(part, result.flat, strict=True)):
            if not LOWEST < abs(wanted) < HIGHEST:
                continue
            claims += 1
            if not np.isfinite(r):
                wrong.append(f"{name} infinite or NaN")
            elif abs(mp.mpf(float(r)) - wanted) > BOUND[dtype] * abs(wanted):
                which = 0 if name == "value" else 1 if part is numbers[1] else 2
                is_sensitive = _is_sensitive(tree, x, p, (which, i), wanted, dtype)
                cause = "sensitive to its inputs" if is_sensitive else "inaccurate"
                wrong.append(f"{name} {cause}")
    return Outcome(kinds_of(tree), claims, wrong)


def _computed(tree: Tree, x: AnyArray, p: AnyArray) -> list[AnyArray]:
    u, v = (T.matrix(name, dtype=x.dtype.name) for name in "xp")
    expression = symbolic(tree, {"x": u, "p": v})
    gradients = T.grad(T.sum(expression), [u, v], disconnected_inputs="ignore")
    function = theano.function([u, v], [expression, *gradients], on_unused_input="ignore")
    return [np.asarray(result) for result in function(x, p)]


def _is_sensitive(
    tree: Tree, x: AnyArray, p: AnyArray, which: tuple[int, int], wanted: Any, dtype: str
) -> bool:
    """Whether a change of the inputs by their last digit changes a number by a hundredth of the
    bound."""
    part, i = which
    for seed in range(3):
        rng = np.random.default_rng(seed)
        signs = [rng.choice([-1.0, 1.0], size=SHAPE) * float(np.finfo(dtype).eps) for _ in "xp"]
        near = exact(tree, x * (1 + signs[0]), p * (1 + signs[1]))[part][i]
        if not abs(near - wanted) < BOUND[dtype] / 100 * abs(wanted):
            return True
    return False
