"""softmax, log_softmax, and the cross-entropy that is fused with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.arrays import operand, seeds, strided
from helpers.native import TARGETS, AnyArray, assert_near, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape

FLOATS = ["float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8"]
matrices = st.tuples(st.integers(1, 40), st.integers(1, 40) | st.sampled_from([256, 257, 700]))


def check(
    name: str,
    inputs: list[AnyArray],
    specs: list[ArraySpec],
    target: str,
    params: dict[str, Any] | None = None,
) -> None:
    """Into strided outputs, against float64."""
    rng = np.random.default_rng(0)
    views = [strided(rng, poisoned(spec)) for spec in specs]
    results = run_kernel(name, inputs, views, params, target)
    for result, exact in zip(results, expect(name, inputs, specs, params), strict=True):
        assert_near(result, exact)


def random_labels(rng: np.random.Generator, n: int, c: int) -> AnyArray:
    dtype = str(rng.choice(INTEGERS))
    least = 0 if dtype == "uint8" else -min(c, 128)
    return strided(rng, rng.integers(least, min(c, 127), n).astype(dtype))


@pytest.mark.covers("softmax", "log_softmax")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@settings(max_examples=60)
@given(dtype=st.sampled_from(FLOATS), shape=matrices, seed=seeds)
def test_softmax(name: str, target: str, dtype: str, shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = operand(rng, shape, dtype) * np.array(rng.choice([0.1, 3, 100]), dtype)
    check(name, [x], [ArraySpec(dtype, shape)], target)


@pytest.mark.covers("softmax_xent")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60)
@given(dtype=st.sampled_from(FLOATS), shape=matrices, seed=seeds)
def test_softmax_xent(target: str, dtype: str, shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, c = shape
    logits = operand(rng, shape, dtype) * np.array(rng.choice([0.1, 3, 100]), dtype)
    specs = [ArraySpec(dtype, (n,)), ArraySpec(dtype, shape)]
    inputs = [logits, random_labels(rng, n, c)]
    outputs = [strided(rng, poisoned(spec)) for spec in specs]
    loss, probabilities = run_kernel("softmax_xent", inputs, outputs, target=target)
    exact, exact_probabilities = expect("softmax_xent", inputs, specs)
    assert_near(probabilities, exact_probabilities)
    # The sum of the exponentials is 1 or more and rounded; a loss near 0 is what it is more than 1.
    error = np.abs(loss - exact)
    assert (error <= 16 * np.finfo(dtype).eps * (1 + exact)).all(), error


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [1, 3, 10, 16, 100, 256, 257])
def test_a_row_has_the_bits_that_it_has_alone(target: str, dtype: str, classes: int) -> None:
    """Many rows share vectors, and what is infinite or NaN in one of them stays there."""
    rng = np.random.default_rng(0)
    x = 5 * rng.standard_normal((25, classes)).astype(dtype)
    x[3, 0], x[7, -1], x[11] = np.nan, np.inf, -np.inf
    labels = rng.integers(0, classes, len(x))
    specs = [ArraySpec(dtype, (len(x),)), ArraySpec(dtype, x.shape)]
    together = run_kernel("softmax_xent", [x, labels], specs, target=target)
    for i in range(len(x)):
        specs = [ArraySpec(dtype, (1,)), ArraySpec(dtype, (1, classes))]
        one = run_kernel("softmax_xent", [x[i : i + 1], labels[i : i + 1]], specs, target=target)
        for a, b in zip(together, one, strict=True):
            np.testing.assert_array_equal(a[i], b[0])
    assert (np.isnan(together[0]) == np.isin(np.arange(len(x)), [3, 7, 11])).all()


@pytest.mark.covers("softmax_xent_grad")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60)
@given(dtype=st.sampled_from(FLOATS), shape=matrices, seed=seeds)
def test_softmax_xent_grad(target: str, dtype: str, shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, c = shape
    power = rng.random(shape) + 0.01
    probabilities = strided(rng, (power / power.sum(axis=1, keepdims=True)).astype(dtype))
    g = operand(rng, (n,), dtype)
    extra = operand(rng, shape, dtype)
    tape = Tape(dtype, 2, (Instruction("sub", (1, 0)),), (2,))
    inputs = [probabilities, random_labels(rng, n, c), g, extra]
    check("softmax_xent_grad", inputs, [ArraySpec(dtype, shape)], target, {"epilogue": tape})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("columns", [3000, 10])
def test_long_rows_and_identity(columns: int, target: str) -> None:
    rng = np.random.default_rng(0)
    shape = (5, columns)
    p = rng.random(shape).astype(np.float32)
    y = np.array([0, columns - 1, -1, -columns, columns // 2])
    g = np.full(5, 0.2, np.float32)
    params = {"epilogue": Tape.identity("float32")}
    check("softmax_xent_grad", [p, y, g], [ArraySpec("float32", shape)], target, params)
    specs = [ArraySpec("float32", (5,)), ArraySpec("float32", shape)]
    check("softmax_xent", [p, y], specs, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_extreme_rows(dtype: str, name: str, target: str) -> None:
    """Differences that overflow exp, and rows with infinities, as NumPy has them."""
    big = float(np.finfo(dtype).max)
    rows = [
        [0.0, 1e4, -1e4],
        [big, big, 0.0],
        [-big, -big, -big],
        [-np.inf, 0.0, 1.0],
        [np.nan, 0.0, 1.0],
        [1e-40, -1e-40, 0.0],
    ]
    x = np.array(rows, dtype)
    check(name, [x], [ArraySpec(dtype, x.shape)], target)


def test_same_bits_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 10)).astype(np.float32)
    y = rng.integers(0, 10, 2000)
    specs = [ArraySpec("float32", (2000,)), ArraySpec("float32", (2000, 10))]
    answers = [run_kernel("softmax_xent", [x, y], specs, threads=threads) for threads in (1, 2, 4)]
    for answer in answers[1:]:
        for a, b in zip(answers[0], answer, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("softmax", [np.zeros(3, np.float32)], "input 0 must be a matrix"),
        ("softmax", [np.zeros((3, 4), np.int32)], "input 0 must be float"),
        ("softmax", [np.zeros((4, 4), np.float32)], "output 0 must have"),
    ],
)
def test_wrong_calls_are_refused(name: str, inputs: list[AnyArray], message: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        run_kernel(name, inputs, [ArraySpec("float32", (3, 4))])


def test_wrong_labels_are_refused() -> None:
    logits = np.zeros((3, 4), np.float32)
    specs = [ArraySpec("float32", (3,)), ArraySpec("float32", (3, 4))]
    with pytest.raises(ValueError, match=r"softmax_xent: input 1 \(labels\) must have an integer"):
        run_kernel("softmax_xent", [logits, np.zeros(3, np.float32)], specs)
    with pytest.raises(ValueError, match=r"softmax_xent: input 1 \(labels\) must be a vector"):
        run_kernel("softmax_xent", [logits, np.zeros(4, np.int64)], specs)
