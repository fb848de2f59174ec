"""Lists of variables wherever a variable is taken, and functions of many operands."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist.tensor as T  # noqa: N812

OF_LISTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sum": lambda t, a, b: t.sum([a, b]),
    "mean along an axis": lambda t, a, b: t.mean([a, b], axis=0),
    "exp": lambda t, a, b: t.exp((a, b)),
    "max of nested lists": lambda t, a, b: t.max([[a, b], [b, a]], axis=1),
    "with numbers": lambda t, a, b: t.dot([0.5, 2.0], [a, a]) + b,
    "with arrays": lambda t, a, b: t.sum([a, np.ones(3)], axis=0) * b,
    "on the left": lambda t, a, b: (a, b) * t.exp([b, a]),
    "tuple of one": lambda t, a, b: t.exp((a,)) * b,
    "list of one list": lambda t, a, b: t.exp([[a, b]]),
    "lists of one": lambda t, a, b: t.exp([[[a]], [[b]]]),
    "concatenate": lambda t, a, b: t.concatenate([[a, b], [b, a]]),
}


@pytest.mark.parametrize("name", OF_LISTS)
def test_lists_of_vectors_are_stacked(name: str, device: str) -> None:
    a, b = T.dvectors("ab")
    values = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    expected = OF_LISTS[name](np, *values)
    result = evaluate(device, [a, b], OF_LISTS[name](T, a, b), *values)
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(result, expected)


@pytest.mark.parametrize(
    "name", ["sum", "exp", "max of nested lists", "tuple of one", "list of one list"]
)
def test_lists_of_scalars_are_vectors(name: str, device: str) -> None:
    a, b = T.dscalars("ab")
    result = evaluate(device, [a, b], OF_LISTS[name](T, a, b), 1.5, 2.5)
    np.testing.assert_allclose(result, OF_LISTS[name](np, 1.5, 2.5))


def test_as_tensor_variable_of_lists(device: str) -> None:
    a, b = T.dscalars("ab")
    v = T.as_tensor_variable([[a, 2], [3.5, b]], name="v")
    assert (v.name, v.dtype, v.ndim) == ("v", "float64", 2)
    np.testing.assert_array_equal(evaluate(device, [a, b], v, 1, 4), [[1, 2], [3.5, 4]])
    i, j = T.lscalars("ij")
    picked = T.dvector("x")[[i, j]]
    assert picked.ndim == 1
    assert T.as_tensor_variable([i, T.iscalar()]).dtype == "int64"


def test_as_tensor_variable_adds_and_drops_axes() -> None:
    x = T.dvector("x")
    assert T.as_tensor_variable(x) is T.as_tensor_variable(x, ndim=1) is x
    row = T.as_tensor_variable(x, ndim=3)
    assert row.broadcastable == (True, True, False)
    assert T.as_tensor_variable(row, ndim=1).broadcastable == (False,)
    with pytest.raises(ValueError, match="is dropped but doesn't broadcast"):
        T.as_tensor_variable(x, ndim=0)


BY_NAME: dict[str, Callable[[Any], Any]] = {
    "dot": lambda x: T.dot(a=x, b=x),
    "tensordot": lambda x: T.tensordot(a=x, b=x, axes=1),
    "batched_dot": lambda x: T.batched_dot(a=x, b=x),
    "take": lambda x: T.take(a=x, indices=[0], axis=0),
    "transpose": lambda x: T.transpose(x=x, axes=(1, 0)),
    "stack": lambda x: T.stack(tensors=[x, x], axis=1),
    "sum": lambda x: T.sum(input=x, axis=0),
    "prod": lambda x: T.prod(input=x),
    "mean": lambda x: T.mean(input=x, axis=0),
    "var": lambda x: T.var(input=x),
    "std": lambda x: T.std(input=x),
    "max_and_argmax": lambda x: T.max_and_argmax(a=x, axis=1)[0],
    "max": lambda x: T.max(x=x),
    "reshape": lambda x: T.reshape(x=x, newshape=(1, -1)),
    "flatten": lambda x: T.flatten(x=x, outdim=1),
    "concatenate": lambda x: T.concatenate(tensor_list=[x, x], axis=0),
}


@pytest.mark.parametrize("name", BY_NAME)
def test_arguments_by_theanos_names(name: str) -> None:
    value = np.array([[1.0, 2.0], [3.0, 4.0]])
    x = T.dmatrix("x")
    assert BY_NAME[name](x).eval({x: value}).dtype == "float64"


def test_lists_that_can_not_be_stacked() -> None:
    a, v = T.dscalar("a"), T.dvector("v")
    for wrong in ([a, v], [[a], [a, a]], [a, "b"], [a, None]):
        with pytest.raises((TypeError, ValueError), match=r"stacked|joined|expression"):
            T.exp(wrong)


# --- functions of many ----------------------------------------------------------------------------

FLOATS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
BITS: dict[str, Callable[..., Any]] = {
    "and_": np.bitwise_and,
    "or_": np.bitwise_or,
    "xor": np.bitwise_xor,
    "bitwise_and": np.bitwise_and,
}


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("name", FLOATS)
def test_floats(name: str, n: int, device: str) -> None:
    rng = np.random.default_rng(n)
    values = [rng.normal(size=(2, 3)) for _ in range(n)]
    inputs = [T.dmatrix(f"x{i}") for i in range(n)]
    result = evaluate(device, inputs, getattr(T, name)(*inputs), *values)
    np.testing.assert_array_equal(result, reduce(FLOATS[name], values))
    gradients = T.grad(getattr(T, name)(*inputs).sum(), inputs)
    for g, others in zip(evaluate(device, inputs, gradients, *values), range(n), strict=True):
        rest = [v for i, v in enumerate(values) if i != others]
        if name == "add":
            np.testing.assert_array_equal(g, np.ones((2, 3)))
        elif name == "mul":
            np.testing.assert_allclose(g, reduce(np.multiply, rest, np.ones((2, 3))))


@pytest.mark.parametrize("dtype", ["int32", "bool"])
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("name", BITS)
def test_bits(name: str, n: int, dtype: str, device: str) -> None:
    values = [np.random.default_rng(i).integers(0, 2, 5).astype(dtype) for i in range(n)]
    inputs = [T.vector(f"x{i}", dtype) for i in range(n)]
    result = evaluate(device, inputs, getattr(T, name)(*inputs), *values)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, reduce(BITS[name], values))


def test_numbers_take_the_dtype_of_all_operands() -> None:
    x = T.fvector("x")
    assert T.add(1, 2.5, x).dtype == T.mul(x, 2, 0.1).dtype == T.maximum(0, x, 1).dtype == "float32"
    assert T.add(x, T.dvector(), 1).dtype == "float64"


@pytest.mark.parametrize("name", [*FLOATS, *BITS])
def test_none_is_too_few(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(T, name)()
