"""Numbers of a program beside exponentials: zeros, infinities, large and tiny ones, and casts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from helpers.stable import DTYPES, AnyArray, as_written, mp

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812


class _Exact:
    """The functions of the expressions, in mpmath."""

    log = staticmethod(
        np.vectorize(lambda v: mp.log(v) if v > 0 else -mp.inf if v == 0 else mp.nan)
    )
    sqrt = staticmethod(np.vectorize(mp.sqrt))
    sum, switch = staticmethod(np.sum), staticmethod(np.where)


# Of a number and an exponential; m has the functions.
ONE_NUMBER: dict[str, Callable[[Any, Any, Any], Any]] = {
    "e / c": lambda m, c, e: e / c,
    "c / e": lambda m, c, e: c / e,
    "c * e": lambda m, c, e: c * e,
    "c + e": lambda m, c, e: c + e,
    "c - e": lambda m, c, e: c - e,
    "1 / (c * sigmoid)": lambda m, c, e: 1 / (c * (e / (1 + e))),
    "c / sigmoid": lambda m, c, e: c / (e / (1 + e)),
    "(c * e) ** -2": lambda m, c, e: (c * e) ** -2,
    "log((c * e) ** 2)": lambda m, c, e: m.log((c * e) ** 2),
    "sqrt((c * e) ** 2)": lambda m, c, e: m.sqrt((c * e) ** 2),
    "(c * e) ** 1000": lambda m, c, e: m.log((c * e) ** 1000),
    "e ** c": lambda m, c, e: e**c,
    "log(c * e)": lambda m, c, e: m.log(c * e),
    "log(e / c)": lambda m, c, e: m.log(e / c),
    "log(c + e)": lambda m, c, e: m.log(c + e),
    "log(1 + c * e)": lambda m, c, e: m.log(1 + c * e),
    "log(sum(c * e))": lambda m, c, e: m.log(m.sum(c * e)),
    "switch": lambda m, c, e: m.log(m.switch(e > 1, c * e, c)),
    "c * switch": lambda m, c, e: c * m.switch(e > 1, 1 / (1 + e), 1) / e,
    "|c * e|": lambda m, c, e: abs(c * e) / e,
}
TWO_NUMBERS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "share": lambda m, c, d, e: c * e / (c * e + d * e * e),
    "1 / sum": lambda m, c, d, e: 1 / (c * e + d / e),
    "product": lambda m, c, d, e: (c * e) * (d * e),
    "log of a product": lambda m, c, d, e: m.log((c * e) * (d * e)),
    "quotient": lambda m, c, d, e: (c * e) / (d / e),
    "log of a sum": lambda m, c, d, e: m.log(c * e + d * e * e),
    "log of a difference": lambda m, c, d, e: m.log(c * e - d),
    "tanh": lambda m, c, d, e: (c * e - c / e) / (d * e + d / e),
    "odds": lambda m, c, d, e: (c * e / (1 + e)) / (d / (1 + e)),
}
SIZES = {"float32": (1e-37, 1e-30, 1e30, 1e37), "float64": (1e-307, 1e-200, 1e200, 1e307)}
X = {"float32": [-80.0, -1, 0, 1, 70], "float64": [-600.0, -460, -1, 0, 1, 460, 700]}


def numbers(dtype: str) -> list[float]:
    return [0.0, -0.0, 1.0, -2.0, *SIZES[dtype], np.inf, -np.inf, np.nan]


def check(form: Callable[..., Any], dtype: str, *given: float) -> None:
    """A function is made. Its results are right, or what the program itself computes."""
    x = T.vector("x", dtype=dtype)
    e = form(T, *given, T.exp(x))
    values = np.array(X[dtype], dtype)
    with as_written():
        plain = theano.function([x], e)(values)
    result = theano.function([x], e)(values)
    rtol, atol = 2000 * float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    fine = np.isclose(result, plain, rtol, atol, equal_nan=True) | np.isnan(plain)
    numbers = [mp.mpf(float(np.asarray(c, dtype))) for c in given]
    powers = np.array([mp.exp(float(v)) for v in values], object)
    with mp.workdps(700), suppress(ZeroDivisionError), np.errstate(all="ignore"):
        exact = np.asarray(form(_Exact, *numbers, powers), float)
        fine |= np.isclose(result, exact, rtol, atol, equal_nan=all(map(np.isfinite, given)))
    assert fine.all(), (given, result, plain)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ONE_NUMBER)
def test_a_number(form: str, dtype: str) -> None:
    for c in numbers(dtype):
        check(ONE_NUMBER[form], dtype, c)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", TWO_NUMBERS)
def test_two_numbers(form: str, dtype: str) -> None:
    for c, d in itertools.product([0.0, -2.0, *SIZES[dtype]], repeat=2):
        check(TWO_NUMBERS[form], dtype, c, d)


def test_a_quotient_of_tiny_and_large_numbers() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    share = 1e-200 * T.exp(x) / (1e-200 * T.exp(x) + 1e200 * T.exp(y))
    results: AnyArray = theano.function([x, y], share)([500.0, 0.0], [-500.0, 0.0])
    odds = np.exp(1000 - 400 * np.log(10))
    np.testing.assert_allclose(results, [odds / (1 + odds), 0], 1e-12)


# --- casts ----------------------------------------------------------------------------------------

CASTS = ["bool", "int8", "uint8", "int32", "int64", "float32", "float64"]
CASTED: dict[str, Callable[[Any, Any], Any]] = {
    "power": lambda e, c: T.log(e**c),
    "product": lambda e, c: T.log(e * c),
    "sum": lambda e, c: T.log(e * c + 1.0),
    "quotient": lambda e, c: 1 / (1 + c * e),
    "one": lambda e, c: T.log(1 + (c - 1) * e),
}


@pytest.mark.parametrize("first", CASTS)
@pytest.mark.parametrize("form", CASTED)
def test_casts_of_a_number(form: str, first: str) -> None:
    """A fraction that a cast drops is dropped."""
    x = T.dvector("x")
    values = np.array([0.5, 3.3])
    for second in CASTS:
        for number in (2.5, 0.5, 2.0, 1.0, 0.1, 100.7):
            c = T.cast(T.cast(T.constant(number), first), second)
            c = T.cast(c, "float64") if second == "bool" else c
            e = CASTED[form](T.exp(x), c.dimshuffle("x") if number > 1 else c)
            with as_written():
                plain = theano.function([x], e)(values)
            result = theano.function([x], e)(values)
            fine = np.isfinite(plain)
            np.testing.assert_allclose(result[fine], plain[fine], 1e-6, 1e-12)
