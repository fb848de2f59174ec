"""Functions of single elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from helpers.theano_names.case import Call

_rng = np.random.default_rng(0)
X = _rng.normal(size=(3, 4))
Y = _rng.normal(size=(3, 4))
POSITIVE = _rng.uniform(0.5, 2, (3, 4))
INSIDE = _rng.uniform(-0.9, 0.9, (3, 4))  # of [-1, 1]
ABOVE = _rng.uniform(1.1, 3, (3, 4))
INTEGERS = _rng.integers(1, 100, (3, 4)).astype("int32")
BITS = _rng.integers(1, 100, (3, 4)).astype("int32")
TRUTHS = _rng.integers(0, 2, (3, 4)).astype(bool)
SPECIAL = np.array([1.0, np.nan, np.inf, -np.inf])


def by_element(function: Callable[[Any], Any]) -> Callable[..., Any]:
    return np.vectorize(lambda x: float(function(float(x))), otypes=["float64"])


def away_from_zero(x: Any) -> Any:
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def xlogx(x: Any) -> Any:
    return x * np.log(x)


_UNARY: dict[str, tuple[Callable[..., Any], Any]] = {
    "abs_": (np.abs, X),
    "arccos": (np.arccos, INSIDE),
    "arccosh": (np.arccosh, ABOVE),
    "arcsin": (np.arcsin, INSIDE),
    "arcsinh": (np.arcsinh, X),
    "arctan": (np.arctan, X),
    "arctanh": (np.arctanh, INSIDE),
    "bitwise_not": (np.bitwise_not, BITS),
    "ceil": (np.ceil, X * 3),
    "cos": (np.cos, X),
    "cosh": (np.cosh, X),
    "deg2rad": (np.deg2rad, X),
    "erf": (by_element(math.erf), X),
    "erfc": (by_element(math.erfc), X),
    "erfcinv": (by_element(lambda p: mpmath.erfinv(1 - p)), 1 + INSIDE),
    "erfcx": (by_element(lambda x: math.exp(x * x) * math.erfc(x)), X),
    "erfinv": (by_element(mpmath.erfinv), INSIDE),
    "exp": (np.exp, X),
    "exp2": (np.exp2, X),
    "expm1": (np.expm1, X),
    "floor": (np.floor, X * 3),
    "gamma": (by_element(math.gamma), POSITIVE),
    "gammaln": (by_element(math.lgamma), POSITIVE),
    "inv": (np.reciprocal, POSITIVE),
    "invert": (np.invert, TRUTHS),
    "iround": (lambda x: np.rint(x).astype("int64"), X * 3),
    "isinf": (np.isinf, SPECIAL),
    "isnan": (np.isnan, SPECIAL),
    "log": (np.log, POSITIVE),
    "log10": (np.log10, POSITIVE),
    "log1p": (np.log1p, POSITIVE),
    "log2": (np.log2, POSITIVE),
    "neg": (np.negative, X),
    "psi": (by_element(mpmath.digamma), POSITIVE),
    "rad2deg": (np.rad2deg, X),
    "round": (np.rint, X * 3),
    "round_half_away_from_zero": (away_from_zero, X * 3),
    "round_half_to_even": (np.rint, np.array([0.5, 1.5, -2.5, 0.7])),
    "scalar_from_tensor": (lambda x: x, X[0, 0]),
    "sgn": (np.sign, X),
    "sin": (np.sin, X),
    "sinh": (np.sinh, X),
    "sqr": (np.square, X),
    "sqrt": (np.sqrt, POSITIVE),
    "square": (np.square, X),
    "tan": (np.tan, INSIDE),
    "tanh": (np.tanh, X),
    "tensor_copy": (np.copy, X),
    "tensor_from_scalar": (lambda x: x, X[0, 0]),
    "trunc": (np.trunc, X * 3),
}
# Rounding at these values has steps, so differences say nothing.
_STEPS = {"round_half_to_even", "isinf", "isnan"}

_BINARY: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "add": (np.add, X, Y),
    "and_": (np.bitwise_and, INTEGERS, BITS),
    "arctan2": (np.arctan2, X, Y),
    "bitwise_and": (np.bitwise_and, INTEGERS, BITS),
    "bitwise_or": (np.bitwise_or, INTEGERS, BITS),
    "bitwise_xor": (np.bitwise_xor, INTEGERS, BITS),
    "divmod": (np.divmod, INTEGERS, BITS),
    "eq": (np.equal, INTEGERS, np.sort(INTEGERS)),
    "floor_div": (np.floor_divide, X * 5, Y),
    "ge": (np.greater_equal, X, Y),
    "gt": (np.greater, X, Y),
    "int_div": (np.floor_divide, INTEGERS, -BITS),
    "le": (np.less_equal, X, Y),
    "lt": (np.less, X, Y),
    "maximum": (np.maximum, X, Y),
    "minimum": (np.minimum, X, Y),
    "mod": (np.mod, X * 5, Y),
    "mul": (np.multiply, X, Y),
    "neq": (np.not_equal, INTEGERS, np.sort(INTEGERS)),
    "or_": (np.logical_or, TRUTHS, TRUTHS[:, ::-1]),
    "pow": (np.power, POSITIVE, Y),
    "power": (np.power, POSITIVE, Y),
    "second": (lambda _, y: np.full((3, 4), y), X, Y[0, 0]),
    "sub": (np.subtract, X, Y),
    "true_div": (np.divide, X, POSITIVE),
    "xor": (np.logical_xor, TRUTHS, TRUTHS[:, ::-1]),
}

CALLS = [
    *(
        Call(
            f"tensor.{name}",
            expected,
            (x,),
            gradient=name not in _STEPS,
            tolerance=1e-5 if name in {"erfcinv", "erfinv", "gammaln", "psi"} else None,
        )
        for name, (expected, x) in _UNARY.items()
    ),
    *(Call(f"tensor.{name}", f, (x, y)) for name, (f, x, y) in _BINARY.items()),
    Call("tensor.tri_gamma", by_element(lambda x: mpmath.psi(1, x)), (POSITIVE,), gradient=False),
    Call("tensor.xlogx", xlogx, (POSITIVE,), lambda module, x: module.xlogx(x)),
    Call("tensor.add", lambda x, y, z: x + y + z, (X, Y, POSITIVE)),
    Call("tensor.mul", lambda x, y, z: x * y * z, (X, Y, POSITIVE)),
    Call(
        "tensor.iround",
        lambda a: np.int64(2),
        (np.float64(1.5),),
        lambda f, a: f(a, mode="half_to_even"),
    ),
    Call(
        "tensor.round",
        away_from_zero,
        (np.array([0.5, 1.5, -2.5]),),
        lambda f, a: f(a, "half_away_from_zero"),
        gradient=False,
    ),
    Call("tensor.floor", np.int32, (INTEGERS,)),
    Call("tensor.cast", np.int32, (X * 3,), lambda f, x: f(x, "int32")),
    Call("tensor.clip", lambda x: np.clip(x, -0.5, 0.8), (X,), lambda f, x: f(x, -0.5, 0.8)),
    Call("tensor.clip", np.clip, (X, -POSITIVE, POSITIVE), lambda f, x, a, b: f(x, min=a, max=b)),
    Call("tensor.fill", lambda _, b: np.full((3, 4), b), (X, Y[0, 0]), lambda f, a, b: f(a, b)),
    Call("tensor.switch", lambda c, x, y: np.where(c, x, y), (TRUTHS, X, Y)),
    Call("tensor.where", lambda c, x, y: np.where(c, x, y), (TRUTHS, X, Y)),
    Call("tensor.largest", lambda x, y, z: np.maximum(np.maximum(x, y), z), (X, Y, INSIDE)),
    Call("tensor.smallest", lambda x, y, z: np.minimum(np.minimum(x, y), z), (X, Y, INSIDE)),
    Call(
        "tensor.isclose",
        lambda x: np.isclose(x, np.array([1, np.nan, np.inf, 5]), 1e-3, 0.1, True),
        (SPECIAL,),
        lambda f, x: f(x, b=np.array([1, np.nan, np.inf, 5]), rtol=1e-3, atol=0.1, equal_nan=True),
        gradient=False,
    ),
    Call("tensor.isclose", np.isclose, (X, X + 1e-9), lambda f, x, y: f(a=x, b=y)),
    Call("tensor.allclose", np.allclose, (X, Y), lambda f, x, y: f(a=x, b=y)),
    Call(
        "tensor.allclose",
        lambda x: np.allclose(x, x + 1, 0.0, 2.0),
        (X,),
        lambda f, x: f(x, x + 1, 0.0, 2.0),
    ),
]
