"""Functions of one variable, in all the ways in which users write them, against mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.stable import (
    DTYPES,
    Pattern,
    errors,
    grid,
    mp,
    sigmoid,
    sigmoid_slope,
    softplus,
    values_and_slopes,
)

import tinygrad_mnist.tensor as T  # noqa: N812

Unary = Callable[[Any], Any]
nn = T.nnet
# In units of epsilon times the exact number, or times the smallest normal number and |x| where the
# result is below it.
TOLERANCE = 16

SIGMOIDS: dict[str, Unary] = {
    "1 / (1 + exp(-x))": lambda x: 1 / (1 + T.exp(-x)),
    "1 / (exp(-x) + 1)": lambda x: 1.0 / (T.exp(-x) + 1.0),
    "exp(x) / (1 + exp(x))": lambda x: T.exp(x) / (1 + T.exp(x)),
    "inv": lambda x: T.inv(1 + T.exp(-x)),
    "power -1": lambda x: (1 + T.exp(-x)) ** -1,
    "1 / (1 + 1 / exp(x))": lambda x: 1 / (1 + 1 / T.exp(x)),
    "0.5 * (1 + tanh(x / 2))": lambda x: 0.5 * (1 + T.tanh(x / 2)),
    "(tanh(0.5 * x) + 1) / 2": lambda x: (T.tanh(0.5 * x) + 1) / 2,
    "0.5 + 0.5 * tanh(x / 2)": lambda x: 0.5 + 0.5 * T.tanh(x / 2),
    "1 - 1 / (1 + exp(x))": lambda x: 1 - 1 / (1 + T.exp(x)),
    "1 - sigmoid(-x)": lambda x: 1 - nn.sigmoid(-x),
    "exp(-softplus(-x))": lambda x: T.exp(-T.log(1 + T.exp(-x))),
    "exp(x - softplus(x))": lambda x: T.exp(x) * T.exp(-nn.softplus(x)),
    "exp(x) / (exp(x) + exp(0 x))": lambda x: T.exp(x) / (T.exp(x) + T.exp(0 * x)),
    "of scaled terms": lambda x: 3 * T.exp(x) / (3 + 3 * T.exp(x)),
    "expm1": lambda x: 1 / (2 + T.expm1(-x)),
}
# What may stand between an expression and what uses it; all leave the order of the elements.
VIEWS: dict[str, Unary] = {
    "flip": lambda s: s[::-1][::-1],
    "reshape": lambda s: s.reshape((-1, 1)).flatten(),
    "dimshuffle": lambda s: s.dimshuffle("x", 0)[0],
    "gather": lambda s: s[T.arange(s.shape[0])],
    "halves": lambda s: T.concatenate([s[:7], s[7:]]),
    "switch": lambda s: T.switch(T.arange(s.shape[0]) < 9, s, s * 1),
    "cast": lambda s: T.cast(T.cast(s, "float64"), s.dtype),
    "stack": lambda s: T.stack([s, s])[1],
}


def _of_sigmoid(name: str, s: Unary) -> list[Pattern]:
    return [
        Pattern(f"sigmoid {name}", s, sigmoid, sigmoid_slope),
        Pattern(f"1 - {name}", lambda x: 1 - s(x), lambda x: sigmoid(-x), _minus(sigmoid_slope)),
        Pattern(f"log {name}", lambda x: T.log(s(x)), _log_sigmoid, lambda x: sigmoid(-x)),
        Pattern(f"log(1 - {name})", lambda x: T.log(1 - s(x)), _minus(softplus), _minus(sigmoid)),
        Pattern(f"log1p(-{name})", lambda x: T.log1p(-s(x)), _minus(softplus), _minus(sigmoid)),
    ]


def _minus(f: Unary) -> Unary:
    return lambda x: -f(x)


def _log_sigmoid(x: Any) -> Any:
    return -softplus(-x)


def _log_expm1(x: Any) -> Any:
    return x + mp.log(-mp.expm1(-x))


def _log1mexp(x: Any) -> Any:
    return mp.log(-mp.expm1(x)) if x > -1 else mp.log1p(-mp.exp(x))


def _positive(x: float) -> bool:
    return x > 0


OTHERS = [
    Pattern("log(1 + exp(x))", lambda x: T.log(1 + T.exp(x)), softplus, sigmoid),
    Pattern("log1p(exp(x))", lambda x: T.log1p(T.exp(x)), softplus, sigmoid),
    Pattern("-log(sigmoid(-x))", lambda x: -T.log(nn.sigmoid(-x)), softplus, sigmoid),
    Pattern("log2", lambda x: T.log2(1 + T.exp(x)) * np.log(2), softplus, sigmoid),
    Pattern("exp(x) - 1", lambda x: T.exp(x) - 1, mp.expm1, mp.exp),
    Pattern("1 - exp(x)", lambda x: 1 - T.exp(x), _minus(mp.expm1), _minus(mp.exp)),
    Pattern("2 * exp(x) - 2", lambda x: 2 * T.exp(x) - 2, lambda x: 2 * mp.expm1(x),
            lambda x: 2 * mp.exp(x)),
    Pattern("(1 + exp(x)) - 1", lambda x: (1 + T.exp(x)) - 1, mp.exp, mp.exp),
    Pattern("log(1 + x)", lambda x: T.log(1 + x), mp.log1p, lambda x: 1 / (1 + x),
            lambda x: x > -1),
    Pattern("log(1 - x)", lambda x: T.log(1 - x), lambda x: mp.log1p(-x), lambda x: -1 / (1 - x),
            lambda x: x < 1),
    Pattern("log(exp(x) - 1)", lambda x: T.log(T.exp(x) - 1), _log_expm1,
            lambda x: -1 / mp.expm1(-x), lambda x: x > 0 and abs(x - 0.69) > 0.1),
    Pattern("log(1 - exp(x))", lambda x: T.log(1 - T.exp(x)), _log1mexp,
            lambda x: -mp.exp(x) / -mp.expm1(x), lambda x: x < 0),
    Pattern("log(exp(x))", lambda x: T.log(T.exp(x)), lambda x: x, lambda x: mp.mpf(1)),
    Pattern("log(x * exp(x))", lambda x: T.log(x * T.exp(x)), lambda x: mp.log(x) + x,
            lambda x: 1 / x + 1, lambda x: x > 1),
    Pattern("x * log(x)", lambda x: x * T.log(x), lambda x: x * mp.log(x),
            lambda x: mp.log(x) + 1, lambda x: x > 0),
    Pattern("ELU", lambda x: T.switch(x > 0, x, T.exp(x) - 1),
            lambda x: x if x > 0 else mp.expm1(x), lambda x: mp.mpf(1) if x > 0 else mp.exp(x)),
    Pattern("swish", lambda x: x / (1 + T.exp(-x)), lambda x: x * sigmoid(x),
            lambda x: sigmoid(x) + x * sigmoid_slope(x), lambda x: abs(x + 1.3) > 0.3),
    Pattern("tanh", lambda x: (T.exp(x) - T.exp(-x)) / (T.exp(x) + T.exp(-x)), mp.tanh,
            lambda x: mp.sech(x) ** 2),
    Pattern("tanh of 2x", lambda x: (T.exp(2 * x) - 1) / (T.exp(2 * x) + 1), mp.tanh,
            lambda x: mp.sech(x) ** 2),
    Pattern("1 + tanh(x)", lambda x: 1 + T.tanh(x), lambda x: 2 * sigmoid(2 * x),
            lambda x: 4 * sigmoid_slope(2 * x)),
    Pattern("1 - tanh(x)", lambda x: 1 - T.tanh(x), lambda x: 2 * sigmoid(-2 * x),
            lambda x: -4 * sigmoid_slope(2 * x)),
    Pattern("sinh", lambda x: T.exp(x) - T.exp(-x), lambda x: 2 * mp.sinh(x),
            lambda x: 2 * mp.cosh(x)),
    Pattern("logit of a sigmoid", lambda x: T.log(nn.sigmoid(x) / (1 - nn.sigmoid(x))),
            lambda x: x, lambda x: mp.mpf(1)),
    Pattern("x / exp(x)", lambda x: x / T.exp(x), lambda x: x * mp.exp(-x),
            lambda x: (1 - x) * mp.exp(-x)),
    Pattern("exp(x) * exp(-x)", lambda x: T.exp(x) * T.exp(-x), lambda x: mp.mpf(1),
            lambda x: mp.mpf(0)),
    Pattern("sqrt(exp(x))", lambda x: T.sqrt(T.exp(x)), lambda x: mp.exp(x / 2),
            lambda x: mp.exp(x / 2) / 2),
    Pattern("exp(x) ** -2", lambda x: T.exp(x) ** -2, lambda x: mp.exp(-2 * x),
            lambda x: -2 * mp.exp(-2 * x)),
    Pattern("1 / (2 + 3 exp(x))", lambda x: 1 / (2 + 3 * T.exp(x)),
            lambda x: 1 / (2 + 3 * mp.exp(x)), lambda x: -3 * mp.exp(x) / (2 + 3 * mp.exp(x)) ** 2,
            by_size=True),
]  # fmt: skip
PATTERNS = [*(p for name, s in SIGMOIDS.items() for p in _of_sigmoid(name, s)), *OTHERS]


def check(pattern: Pattern, dtype: str, device: str = "cpu") -> None:
    x = np.array([v for v in grid(dtype) if pattern.domain(float(v))], dtype)
    exact = [mp.mpf(float(v)) for v in x]
    results = values_and_slopes(pattern.expression, x, device)
    for result, f in zip(results, (pattern.value, pattern.slope), strict=True):
        wanted = [f(v) for v in exact]
        subnormal = [abs(w) < float(np.finfo(dtype).tiny) for w in wanted]
        allowed = TOLERANCE * np.where(
            np.logical_or(subnormal, pattern.by_size), np.maximum(1, np.abs(x)), 1
        )
        wrong = errors(result, wanted, dtype) > allowed
        assert not wrong.any(), list(zip(x[wrong], result[wrong], strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_pattern(pattern: Pattern, dtype: str) -> None:
    check(pattern, dtype)


@pytest.mark.parametrize("pattern", PATTERNS[5:10] + OTHERS[:2], ids=str)
def test_pattern_on_other_backends(pattern: Pattern, device: str) -> None:
    check(pattern, "float64", device)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("function", ["log", "log of 1 -", "1 -", "softplus", "expm1"])
def test_views_hide_nothing(function: str, view: str, dtype: str) -> None:
    """Views may lie between any two steps of an expression."""
    v = VIEWS[view]
    patterns = {
        "log": Pattern("", lambda x: T.log(v(1 / v(1 + v(T.exp(-x))))), _log_sigmoid,
                       lambda x: sigmoid(-x)),
        "log of 1 -": Pattern("", lambda x: T.log(v(1 - v(1 / (1 + v(T.exp(-x)))))),
                              _minus(softplus), _minus(sigmoid)),
        "1 -": Pattern("", lambda x: 1 - v(nn.sigmoid(v(-x))), sigmoid, sigmoid_slope),
        "softplus": Pattern("", lambda x: T.log(v(1 + v(T.exp(v(x))))), softplus, sigmoid),
        "expm1": Pattern("", lambda x: v(T.exp(x)) - 1, mp.expm1, mp.exp),
    }  # fmt: skip
    check(patterns[function], dtype)
