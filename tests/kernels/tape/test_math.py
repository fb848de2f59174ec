"""Errors of the vectorised functions, in units of the last place of the exact result."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.accuracy import FUNCTIONS, LONG_IS_WIDER, arguments, computed, errors_in_ulp, exact
from helpers.native import TARGETS

from tinygrad_mnist.checking.bounds import ULP
from tinygrad_mnist.contracts.core.tape import OPCODES

# Operations that are one instruction, or exact.
NO_FUNCTION = {"sqrt", "floor", "ceil", "round", "round_away", "trunc", "div", "isnan", "isinf"} | {
    "bit_count"
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error(name: str, dtype: str) -> None:
    if dtype == "float64" and not LONG_IS_WIDER:
        pytest.skip("long double is no wider than double here")
    arrays = arguments(dtype, 3_000, OPCODES[name].arity)
    wanted = exact(name, arrays)
    for target in TARGETS:
        result = computed(name, arrays, target)
        errors = errors_in_ulp(result, wanted)
        worst = int(np.argmax(errors))
        where = ", ".join(repr(x[worst]) for x in arrays)
        message = f"{name}({where}) = {result[worst]!r}, not {wanted[worst]!r}, on {target}"
        assert errors[worst] <= ULP[name], f"{message}: {errors[worst]} ulp"


def test_every_function_of_floats_alone_is_measured() -> None:
    of_floats = {
        name for name, op in OPCODES.items() if op.dtypes == ("float32", "float64") and op.flops
    }
    assert of_floats - NO_FUNCTION <= set(FUNCTIONS) <= set(OPCODES)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_results(dtype: str, target: str) -> None:
    """Powers of 2 and 10, and what has an exact answer by definition."""
    info = np.finfo(dtype)
    whole = np.arange(-140, 120, dtype=dtype)
    powers = np.exp2(whole)
    np.testing.assert_array_equal(computed("exp2", [whole], target), powers)
    np.testing.assert_array_equal(computed("log2", [powers], target), whole)
    tens = np.arange(0, 11 if dtype == "float32" else 23, dtype=dtype)
    np.testing.assert_array_equal(computed("log10", [10**tens], target), tens)
    small = np.array([3, -5, 0.5, 1.5], dtype)
    np.testing.assert_array_equal(
        computed("pow", [small, np.full_like(small, 3)], target), small**3
    )
    tiny = np.array([info.smallest_subnormal, info.tiny / 3, info.tiny], dtype)
    tiny = np.concatenate([tiny, -tiny])
    for name in ("sin", "tan", "arcsin", "arctan", "sinh", "tanh", "arcsinh", "arctanh", "expm1"):
        np.testing.assert_array_equal(computed(name, [tiny], target), tiny)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_huge_angles_leave_their_neighbours_alone(name: str, target: str) -> None:
    x = np.random.default_rng(2).normal(size=100) * 1000
    mixed = x.copy()
    mixed[::3] *= 2.0**500
    alone, beside = computed(name, [x], target), computed(name, [mixed], target)
    np.testing.assert_array_equal(beside[1::3], alone[1::3])
    np.testing.assert_array_equal(beside[2::3], alone[2::3])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quotients_of_all_sizes(dtype: str) -> None:
    """Neither end of the range costs arctan2 a bit."""
    if dtype == "float64" and not LONG_IS_WIDER:
        pytest.skip("long double is no wider than double here")
    info = np.finfo(dtype)
    sizes = 2.0 ** np.arange(info.minexp - info.nmant, info.maxexp, 9)
    y, x = (g.ravel().astype(dtype) for g in np.meshgrid(sizes * 1.7365, -sizes * 1.1912))
    arrays = [np.concatenate([y, y]), np.concatenate([x, -x])]
    wanted = exact("arctan2", arrays)
    for target in TARGETS:
        errors = errors_in_ulp(computed("arctan2", arrays, target), wanted)
        assert np.max(errors) <= ULP["arctan2"], arrays[0][np.argmax(errors)]


def test_the_measure_itself() -> None:
    one = np.float32([1, 1, -1, 0, np.inf, np.nan, np.inf, 0.0])
    wanted = np.array([1 + 2.0**-23, 1 - 2.0**-25, 1, -0.0, np.inf, np.nan, 1, 1e-46])
    errors = errors_in_ulp(one, wanted)
    np.testing.assert_allclose(errors[:2], [1, 0.25])
    assert errors[2] == 2.0**24
    assert list(errors[3:7]) == [np.inf, 0, 0, np.inf]
    assert 0 < errors[7] < 0.1
