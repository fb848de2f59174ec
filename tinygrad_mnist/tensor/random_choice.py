"""Random choices: categories, elements with and without replacement, and orders."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.fold import fold
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.creation import full
from tinygrad_mnist.ops.cumsum import cumsum
from tinygrad_mnist.ops.elementwise import (
    cast,
    eq,
    ge,
    gt,
    le,
    log,
    lt,
    mul,
    neg,
    number_like,
    sub,
    true_div,
)
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.logical import and_
from tinygrad_mnist.ops.reduce import min_, sum_
from tinygrad_mnist.ops.require import require
from tinygrad_mnist.ops.shape import (
    as_integer_scalar,
    dimshuffle,
    length,
    reshape,
    shape_scalars,
)
from tinygrad_mnist.ops.sort import argsort
from tinygrad_mnist.tensor.distributions import Trials, integers
from tinygrad_mnist.tensor.random_source import Source, float_arguments, lengths_of

_LONGEST = 2**48  # elements of a vector that memory can hold
_NOTHING = "choice: there is nothing to choose from"
_TOO_MANY = "choice: there are fewer elements to choose from than are chosen"
# By how much a sum of rounded probabilities may pass 1.
_ROUNDING = {"float32": 1e-5, "float64": 1e-9}

# --- categories -----------------------------------------------------------------------------------


def _probabilities(pvals: Any, what: str) -> Variable:
    """Probabilities along the last axis, checked when a function runs."""
    (p,) = float_arguments(None, pvals=pvals)
    if p.ndim == 0:
        raise GraphTypeError(f"{what} are a vector or more, not a {p.type}")
    most = sum_(p[..., :-1], axis=-1, keepdims=True)
    limit = number_like(1 + _ROUNDING[p.dtype], p)
    p = require(p, ge(p, 0), f"{what} are negative or NaN")
    return require(p, le(most, limit), f"{what}: those before the last add up to more than 1")


def _bounds(p: Variable) -> tuple[Variable, Variable]:
    """Where the categories begin and end in [0, 1); the last one ends beyond."""
    ends = cumsum(p, axis=p.ndim - 1)[..., :-1]
    edge = [length(p, axis) for axis in range(p.ndim - 1)] + [as_variable(1)]
    first, last = full(edge, 0.0, p.dtype), full(edge, 2.0, p.dtype)
    return concatenate([first, ends], p.ndim - 1), concatenate([ends, last], p.ndim - 1)


def multinomial(
    source: Source, size: Any, n: Any, pvals: Any, ndim: int | None, dtype: str
) -> Variable:
    """How often each category comes in `n` trials; the categories are the last axis."""
    p = _probabilities(pvals, "multinomial: pvals")
    trials = Trials(n, "multinomial")
    outer = p[..., 0]
    lengths = lengths_of(_borrowed(size, outer), ndim, outer, *trials.sizes)
    low, high = _bounds(p)
    drawn = source.draw([trials.most, *lengths], p.dtype)
    drawn = dimshuffle(drawn, *range(drawn.ndim), "x")
    if trials.sizes:
        inner = trials.sizes[0]
        trials.sizes = [dimshuffle(inner, *range(inner.ndim), "x")]
    return cast(trials.count(and_(ge(drawn, low), lt(drawn, high)), p.dtype), dtype)


def _borrowed(size: Any, outer: Variable) -> Any:
    """A size in which -1 is the length that `outer` has there, counted from the right."""
    if not isinstance(size, list | tuple):
        return size
    return [
        length(outer, outer.ndim - len(size) + i) if type(n) is int and n == -1 else n
        for i, n in enumerate(size)
    ]


# --- elements -------------------------------------------------------------------------------------


def choice(
    source: Source, size: Any, a: Any, replace: bool, p: Any, ndim: int | None, dtype: str
) -> Variable:
    """Elements of a vector, or integers below `a`."""
    among = as_variable(a)
    if among.ndim > 1:
        raise GraphTypeError(f"choice takes a vector or an integer, not a {among.type}")
    count = cast(among, "int64") if among.ndim == 0 else length(among, 0)
    if replace and p is None:
        last, widest = sub(count, 1), None if among.ndim == 0 else _LONGEST
        indices = integers(source, size, 0, last, ndim, "int64", _NOTHING, widest)
    else:
        indices = _chosen(source, size, count, replace, p, ndim)
    return cast(indices, dtype) if among.ndim == 0 else among[indices]


def _chosen(
    source: Source, size: Any, count: Variable, replace: bool, p: Any, ndim: int | None
) -> Variable:
    """Indices below `count`, by probabilities or without replacement."""
    lengths = shape_scalars(() if size is None else size, ndim)
    probabilities = None if p is None else _probabilities(p, "choice: p")
    if probabilities is not None:
        if probabilities.ndim != 1:
            raise GraphTypeError(f"choice: p is a vector, not a {probabilities.type}")
        fits = eq(length(probabilities, 0), count)
        probabilities = require(probabilities, fits, "choice: p has another length than a")
    if replace:
        assert probabilities is not None
        drawn = source.draw(lengths, probabilities.dtype)
        return _category(probabilities, drawn)
    wanted = as_variable(1)
    for n in lengths:
        wanted = fold(mul(wanted, n))
    count = fold(count)
    if isinstance(count, Constant) and isinstance(wanted, Constant) and count.value < wanted.value:
        raise ArgumentError(f"{_TOO_MANY}{at(user_source())}")
    keys = source.draw([count], "float64")
    if probabilities is not None:
        keys = _waiting_times(keys, probabilities)
    order = require(argsort(keys), le(wanted, _available(count, probabilities)), _TOO_MANY)
    chosen = order[: as_integer_scalar(wanted, "the size of choice")]
    return reshape(chosen, lengths) if lengths else chosen[0]


def _category(p: Variable, drawn: Variable) -> Variable:
    """The index of the category, along the last axis of `p`, that each number falls into."""
    low, _ = _bounds(p)
    above = ge(dimshuffle(drawn, *range(drawn.ndim), "x"), low)
    return cast(sub(sum_(cast(above, "int64"), axis=-1), 1), "int64")


def _waiting_times(drawn: Variable, p: Variable) -> Variable:
    """Exponential times with the rates `p`: the elements in their order are drawn one by one
    without replacement. An element of probability 0 comes last."""
    return true_div(neg(log(sub(1.0, drawn))), cast(p, "float64"))


def _available(count: Variable, p: Variable | None) -> Variable:
    """How many elements can be chosen without replacement."""
    return count if p is None else sum_(cast(gt(p, 0), "int64"), axis=-1)


def chosen_of_rows(source: Source, size: Any, replace: bool, p: Any, dtype: str) -> Variable:
    """`size` indices per row of the matrix `p` of probabilities."""
    rows = _probabilities(p, "choice: p")
    if rows.ndim != 2:
        raise GraphTypeError(f"choice: p is a matrix, not a {rows.type}")
    wanted = as_integer_scalar(size, "the size of choice")
    if replace:
        drawn = source.draw([length(rows, 0), wanted], rows.dtype)
        return cast(_category(dimshuffle(rows, 0, "x", 1), drawn), dtype)
    drawn = source.draw([length(rows, 0), length(rows, 1)], "float64")
    order = argsort(_waiting_times(drawn, rows))
    order = require(order, le(wanted, min_(_available(wanted, rows))), _TOO_MANY)
    return cast(order[:, :wanted], dtype)


# --- orders ---------------------------------------------------------------------------------------


def permutation(source: Source, size: Any, n: Any, ndim: int | None, dtype: str) -> Variable:
    """Orders of the integers below `n`, along the last axis."""
    count = as_integer_scalar(n, "n of permutation")
    lengths = [] if size is None else lengths_of(size, ndim)
    return cast(argsort(source.draw([*lengths, count], "float64")), dtype)
