"""Expressions against NumPy: values on a backend, gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.native import assert_near
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

AnyArray = NDArray[Any]
Expression = Callable[..., theano.Variable]
STEP = 1e-5  # of the differences; their error is about STEP ** 2
GRADIENT_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Case:
    """One expression, with what it should compute.

    name: of the test.
    expression: of symbolic inputs.
    expected: the same in plain NumPy.
    values: arrays for the inputs; floats are tried in each float dtype.
    stretched: numbers of the inputs whose 1-long dimensions broadcast.
    dtype: of the result; None is that of the floats.
    gradient: whether to compare gradients with finite differences.
    tolerance: relative, of the value; None is that of `assert_near`.
    """

    name: str
    expression: Expression
    expected: Callable[..., Any]
    values: tuple[AnyArray, ...]
    stretched: tuple[int, ...] = ()
    dtype: str | None = None
    gradient: bool = True
    tolerance: float | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def has_gradient(self) -> bool:
        """Whether there is a gradient to compare: the case wants it, and an input is a float."""
        return self.gradient and any(v.dtype.kind == "f" for v in self.values)

    def arguments(self, dtype: str) -> list[AnyArray]:
        """The values, floats as `dtype`."""
        return [v.astype(dtype) if v.dtype.kind == "f" else v for v in self.values]

    def inputs(self, dtype: str) -> list[theano.Variable]:
        """Symbolic inputs for the values."""
        return [
            T.tensor(a.dtype.name, [n == 1 and i in self.stretched for n in a.shape], f"x{i}")
            for i, a in enumerate(self.arguments(dtype))
        ]


def make_tests(cases: Sequence[Case]) -> tuple[Callable[..., None], Callable[..., None]]:
    """The tests of a list of cases: `test_value, test_gradient = make_tests(CASES)`.

    Both run on every backend of the fixture `device`: the value in float32 and float64, the
    gradient, where a case has one, in float64.
    """

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("case", cases, ids=str)
    def test_value(case: Case, device: str, dtype: str) -> None:
        check_forward(case, device, dtype)

    @pytest.mark.parametrize("case", [c for c in cases if c.has_gradient], ids=str)
    def test_gradient(case: Case, device: str) -> None:
        check_gradient(case, device)

    return test_value, test_gradient


def check_forward(case: Case, device: str, dtype: str) -> None:
    """The expression's value on a backend is what NumPy computes in float64."""
    inputs, arguments = case.inputs(dtype), case.arguments(dtype)
    with making_functions_for(device):
        function = theano.function(inputs, case.expression(*inputs), on_unused_input="ignore")
    result = function(*arguments)
    exact = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arguments]
    with np.errstate(all="ignore"):
        expected = np.asarray(case.expected(*exact))
    assert result.dtype == (case.dtype or dtype)
    assert_near(result, expected, case.tolerance)


def check_gradient(case: Case, device: str) -> None:
    """The gradient of a projection of the expression agrees with central differences of what
    NumPy computes, both in float64, for every float input.
    """
    inputs, arguments = case.inputs("float64"), case.arguments("float64")
    if id(case) not in _DIFFERENCES:
        _DIFFERENCES[id(case)] = _projected_differences(case, arguments)
    weights, expected = _DIFFERENCES[id(case)]
    cost = T.sum(case.expression(*inputs) * weights)
    floats = [v for v in inputs if v.dtype == "float64"]
    results = evaluate(device, inputs, T.grad(cost, floats), *arguments, on_unused_input="ignore")
    for result, slopes in zip(results, expected, strict=True):
        assert_gradient(result, slopes)


def assert_gradient(result: AnyArray, expected: AnyArray) -> None:
    """`result` is a gradient that finite differences gave as `expected`."""
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=GRADIENT_TOLERANCE, atol=GRADIENT_TOLERANCE)


# By the identity of a case, which lives as long as its module: every backend needs them.
_DIFFERENCES: dict[int, tuple[AnyArray, list[AnyArray]]] = {}


def _projected_differences(
    case: Case, arguments: Sequence[AnyArray]
) -> tuple[AnyArray, list[AnyArray]]:
    """Weights of a projection, and its differences for each float argument."""
    shape = np.shape(case.expected(*arguments))
    weights = np.random.default_rng(5).uniform(0.5, 1.5, shape)

    def projected(values: Sequence[AnyArray]) -> float:
        return float(np.sum(case.expected(*values) * weights))

    numbers = [i for i, a in enumerate(arguments) if a.dtype.kind == "f"]
    return weights, [differences(projected, arguments, i) for i in numbers]


def differences(
    cost: Callable[[Sequence[AnyArray]], float], arguments: Sequence[AnyArray], number: int
) -> AnyArray:
    """Central differences of `cost` for each element of one argument."""
    result = np.empty(arguments[number].shape)
    for index in np.ndindex(result.shape):
        costs = []
        for step in (STEP, -STEP):
            moved = [np.array(a) for a in arguments]
            moved[number][index] += step
            costs.append(cost(moved))
        result[index] = (costs[0] - costs[1]) / (2 * STEP)
    return result


def evaluate(
    device: str, inputs: Sequence[theano.Variable], outputs: Any, *values: Any, **options: Any
) -> Any:
    """`outputs` for `values`, computed by a function made for `device`."""
    with making_functions_for(device):
        return theano.function(list(inputs), outputs, **options)(*values)
