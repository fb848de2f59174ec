"""The gamma function, its relatives, and the inverses of erf: errors against mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests
from helpers.native import AnyArray

import tinygrad_mnist.tensor as T  # noqa: N812

Exact = Callable[[Any], Any]


def inverse_of_erfc(q: Any) -> Any:
    """By Newton's method on log(erfc), from an approximation for small q."""
    if q > 1:
        return -inverse_of_erfc(2 - q)
    z = mpmath.sqrt(-mpmath.log(q)) if q < 0.1 else 1 - q
    for _ in range(200):
        slope = -2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-z * z) / mpmath.erfc(z)
        step = (mpmath.log(mpmath.erfc(z)) - mpmath.log(q)) / slope
        z -= step
        if abs(step) < mpmath.mpf(10) ** -32 * (1 + abs(z)):
            break
    return z


EXACT: dict[str, Exact] = {
    "gamma": mpmath.gamma,
    "gammaln": lambda x: mpmath.log(abs(mpmath.gamma(x))),
    "psi": lambda x: mpmath.psi(0, x),
    "tri_gamma": lambda x: mpmath.psi(1, x),
    "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
    "erfinv": mpmath.erfinv,
    "erfcinv": inverse_of_erfc,
}


def vectorised(name: str) -> Callable[[AnyArray], AnyArray]:
    return np.vectorize(lambda x: float(EXACT[name](mpmath.mpf(x))), otypes=[float])


_rng = np.random.default_rng(6)
SMALL, LARGE = 10 ** _rng.uniform(-300, -1, 40), _rng.uniform(12, 170, 60)
POSITIVE = np.concatenate([_rng.uniform(0.01, 14, 150), LARGE])
NEGATIVE = -np.concatenate([_rng.uniform(0.01, 14, 100), _rng.uniform(12, 160, 20)])
NEAR = np.concatenate([n + s * 10 ** _rng.uniform(-15, -1, 30) for n in (1, 2) for s in (1, -1)])
UNIT = np.concatenate([_rng.uniform(-1, 1, 100), SMALL, 1 - 10 ** _rng.uniform(-15, -1, 30)])
# Arguments, and the most ulp of an error there. Near a zero errors are small beside 1 alone.
ULP: list[tuple[str, AnyArray, float]] = [
    ("gamma", POSITIVE, 6),
    ("gamma", SMALL, 2),
    ("gamma", NEGATIVE, 7),
    ("gammaln", POSITIVE, 4),
    ("gammaln", np.concatenate([SMALL, 10 ** _rng.uniform(2, 300, 30)]), 2),
    ("gammaln", NEAR, 4),
    ("psi", np.concatenate([SMALL, POSITIVE[POSITIVE > 3]]), 8),
    ("tri_gamma", np.concatenate([POSITIVE, SMALL[SMALL > 1e-150]]), 7),
    ("tri_gamma", NEGATIVE, 7),
    ("erfcx", np.concatenate([_rng.uniform(-26, 30, 150), SMALL]), 4),
    ("erfinv", UNIT, 3),
    ("erfcinv", np.concatenate([_rng.uniform(0, 2, 40), 10 ** _rng.uniform(-300, -1, 40)]), 3),
]


def errors(name: str, x: AnyArray, result: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The errors of a result, in ulp of its dtype and beside the larger of 1 and itself."""
    with mpmath.workdps(40):
        exact = [EXACT[name](mpmath.mpf(float(v))) for v in x]
        size = [float(abs(mpmath.mpf(float(r)) - e)) for r, e in zip(result, exact, strict=True)]
    values = np.abs(np.array([float(e) for e in exact]))
    ulp = np.spacing(values.astype(result.dtype)).astype(float)
    return np.array(size) / ulp, np.array(size) / np.maximum(values, 1)


@pytest.mark.parametrize(("name", "x", "most"), ULP)
def test_errors(device: str, name: str, x: AnyArray, most: float) -> None:
    v = T.dvector("v")
    result = evaluate(device, [v], getattr(T, name)(v), x)
    assert errors(name, x, result)[0].max() <= most


@pytest.mark.parametrize(
    ("name", "x"), [("psi", POSITIVE), ("psi", NEGATIVE), ("gammaln", NEGATIVE)]
)
def test_errors_beside_one(name: str, x: AnyArray) -> None:
    """Where zeros are among the values."""
    distance = np.abs(x - np.round(x))
    x = x[(x > 0) | (distance > 0.01)]
    v = T.dvector("v")
    result = evaluate("cpu", [v], getattr(T, name)(v), x)
    assert errors(name, x, result)[1].max() <= 1e-14


@pytest.mark.parametrize("name", EXACT)
def test_float32_is_rounded_once(device: str, name: str) -> None:
    low, high = (-0.999, 0.999) if name == "erfinv" else (0.01, 1.99)
    x = _rng.uniform(low, high, 60).astype("float32")
    v = T.fvector("v")
    result = evaluate(device, [v], getattr(T, name)(v), x)
    assert result.dtype == "float32"
    assert errors(name, x, result)[0].max() <= 0.51


P, U = _rng.uniform(0.3, 4, (3, 4)), _rng.uniform(-0.95, 0.95, (3, 4))
N = -_rng.integers(0, 4, (3, 4)) - _rng.uniform(0.2, 0.8, (3, 4))
CASES = [
    *(Case(name, getattr(T, name), vectorised(name), (P,)) for name in ("gamma", "gammaln", "psi")),
    Case("tri_gamma", T.tri_gamma, vectorised("tri_gamma"), (P,), gradient=False),
    *(
        Case(f"{name} below 0", getattr(T, name), vectorised(name), (N,), tolerance=1e-4)
        for name in ("gamma", "gammaln", "psi")
    ),
    Case("erfinv", T.erfinv, vectorised("erfinv"), (U,)),
    Case("erfcinv", T.erfcinv, vectorised("erfcinv"), (U + 1,), tolerance=1e-5),
    Case("erfcx", T.erfcx, vectorised("erfcx"), (U * 3,)),
    Case(
        "between others",
        lambda x: T.sum(T.exp(T.gammaln(x) * 0.1) * x, axis=0),
        lambda x: np.sum(vectorised("gamma")(x) ** 0.1 * x, axis=0),
        (P,),
    ),
]

test_value, test_gradient = make_tests(CASES)


def test_special_arguments(device: str) -> None:
    v = T.dvector("v")
    inf, nan = np.inf, np.nan
    x = np.array([0.0, inf, -inf, nan, -1, -7, 1, 2, 200])
    expected = {
        "gamma": [inf, inf, nan, nan, nan, nan, 1, 1, inf],
        "gammaln": [inf, inf, inf, nan, inf, inf, 0, 0, float(mpmath.loggamma(200))],
        "psi": [-inf, inf, nan, nan, nan, nan, *(float(mpmath.psi(0, n)) for n in (1, 2, 200))],
        "erfcx": [
            1,
            0,
            inf,
            nan,
            *(float(EXACT["erfcx"](mpmath.mpf(n))) for n in (-1, -7, 1, 2, 200)),
        ],
        "erfinv": [0, nan, nan, nan, -inf, nan, inf, nan, nan],
        "erfcinv": [inf, nan, nan, nan, nan, nan, 0, -inf, nan],
    }
    for name, values in expected.items():
        result = evaluate(device, [v], getattr(T, name)(v), x)
        np.testing.assert_allclose(result, values, rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("name", EXACT)
def test_integers_give_a_float(name: str) -> None:
    for dtype, result in (("int8", "float32"), ("int64", "float64"), ("bool", "float32")):
        assert getattr(T, name)(T.vector(dtype=dtype)).dtype == result


def test_a_constant_is_folded() -> None:
    assert T.get_scalar_constant_value(T.gammaln(5.0)) == pytest.approx(np.log(24), rel=1e-6)
