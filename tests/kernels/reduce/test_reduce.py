"""reduce: sums, products and extremes between two tapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.arrays import operand, seeds, shapes, strided
from helpers.native import TARGETS, AnyArray, assert_near, binary, expect, run_kernel, unary
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.contracts.reduce.reduce import MAX, MIN, PROD, SUM

DTYPES = ["float32", "float64", "int64"]
ANY_DTYPE = ["bool", "int8", "int16", "int32", "int64", "uint8", "float32", "float64"]


def reduce_params(
    op: int, axes: tuple[int, ...], prologue: Tape, epilogue: Tape | None = None
) -> dict[str, Any]:
    return {
        "op": op,
        "axes_mask": sum(1 << a for a in axes),
        "n_prologue": prologue.n_inputs,
        "prologue": prologue,
        "epilogue": epilogue or Tape.identity(prologue.dtype),
    }


def kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if d in axes else side for d, side in enumerate(shape))


def check(
    x: AnyArray, op: int, axes: tuple[int, ...], target: str | None, tolerance: float | None = None
) -> None:
    dtype = x.dtype.name
    params = reduce_params(op, axes, Tape.identity(dtype))
    spec = ArraySpec(dtype, kept(x.shape, axes))
    (result,) = run_kernel("reduce", [x], [spec], params, target)
    (exact,) = expect("reduce", [x], [spec], params)
    assert_near(result, exact, tolerance)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150)
@given(
    op=st.sampled_from([SUM, PROD, MAX, MIN]),
    dtype=st.sampled_from(DTYPES),
    shape=shapes(),
    seed=seeds,
)
def test_plain(target: str, op: int, dtype: str, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = operand(rng, shape, dtype)
    if op == PROD and dtype != "int64":
        x = np.exp(x / 100).astype(dtype)
    axes = tuple(d for d in range(len(shape)) if rng.random() < 0.5)
    # Sums of numbers of both signs lose digits to cancellation.
    check(x, op, axes, target, 1e-4 if dtype == "float32" else 1e-11)


@pytest.mark.covers("reduce", dtypes=ANY_DTYPE)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100)
@given(
    dtype=st.sampled_from(DTYPES),
    read=st.sampled_from(ANY_DTYPE),
    written=st.sampled_from(ANY_DTYPE),
    shape=shapes(),
    seed=seeds,
)
def test_operands_of_any_dtype(
    target: str, dtype: str, read: str, written: str, shape: tuple[int, ...], seed: int
) -> None:
    """They are converted to the tape's dtype, and the result from it, where no value is lost."""
    rng = np.random.default_rng(seed)
    axes = tuple(d for d in range(len(shape)) if rng.random() < 0.5)
    x = operand(rng, shape, read)
    if x.dtype.kind == "f" and dtype == "int64":
        x = np.round(x)
    params = reduce_params(MAX, axes, Tape.identity(dtype))
    view = strided(rng, poisoned(ArraySpec(written, kept(shape, axes))))
    (result,) = run_kernel("reduce", [x], [view], params, target)
    exact = x.astype(dtype).max(axis=axes, keepdims=True)
    if written == "bool":
        exact = exact != 0
    elif np.dtype(written).kind in "iu":
        exact = exact.astype(np.int64)
    np.testing.assert_array_equal(result, exact.astype(written))


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=100)
@given(shape=shapes(), seed=seeds)
def test_tapes(target: str, shape: tuple[int, ...], seed: int) -> None:
    """sum((x - y)^2) * scale + extra, with inputs of several dtypes, into a strided output."""
    rng = np.random.default_rng(seed)
    axes = tuple(d for d in range(len(shape)) if rng.random() < 0.5)
    small = kept(shape, axes)
    x = operand(rng, shape, "float32")
    y = operand(rng, shape, "int32")
    extra = operand(rng, small, "float32")
    prologue = Tape("float32", 2, (Instruction("sub", (0, 1)), Instruction("sqr", (2,))), (3,))
    code = (
        Instruction("const", immediate=0.25),
        Instruction("mul", (0, 2)),
        Instruction("add", (3, 1)),
    )
    params = reduce_params(SUM, axes, prologue, Tape("float32", 2, code, (4,)))
    spec = ArraySpec("float32", small)
    view = strided(rng, poisoned(spec))
    (result,) = run_kernel("reduce", [x, y, extra], [view], params, target)
    (exact,) = expect("reduce", [x, y, extra], [spec], params)
    assert_near(result, exact, 1e-5)


LARGE: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((300_000,), (0,)),  # parts along the only axis
    ((100_003, 7), (0,)),  # parts, short rows
    ((7, 100_003), (1,)),
    ((5000, 80), (0,)),
    ((5000, 80), (1,)),
    ((3, 200, 400), (1,)),
    ((40, 20, 24, 24), (0, 2, 3)),  # the gradient of a convolution's bias
    ((40, 20, 24, 24), (1, 3)),
    ((64, 1, 70, 80), (0,)),
    ((50, 60, 70), (0, 1, 2)),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("shape", "axes"), LARGE)
@pytest.mark.parametrize("op", [SUM, MAX])
def test_large(shape: tuple[int, ...], axes: tuple[int, ...], op: int, target: str) -> None:
    """Reductions that are cut into chunks, plain and transposed, give one answer per layout."""
    rng = np.random.default_rng(0)
    x = rng.random(shape, np.float32)
    check(x, op, axes, target, 1e-6)
    check(np.asfortranarray(x), op, axes, target, 1e-6)
    spec = ArraySpec("float32", kept(shape, axes))
    params = reduce_params(op, axes, Tape.identity("float32"))
    answers = [
        run_kernel("reduce", [x], [spec], params, target, threads)[0] for threads in (1, 2, 4)
    ]
    assert all(np.array_equal(answers[0], answer) for answer in answers[1:])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axes"), [((1_000_000,), (0,)), ((200_000, 3), (0,))])
def test_sum_is_as_exact_as_pairwise(
    shape: tuple[int, ...], axes: tuple[int, ...], dtype: str, target: str
) -> None:
    """All positive terms, so that the error of the sum is that of the additions."""
    x = np.random.default_rng(0).random(shape).astype(dtype)
    spec = ArraySpec(dtype, kept(shape, axes))
    params = reduce_params(SUM, axes, Tape.identity(dtype))
    (result,) = run_kernel("reduce", [x], [spec], params, target)
    exact = x.astype(np.longdouble).sum(axis=axes, keepdims=True)
    assert np.all(np.abs(result - exact) <= 2 * np.finfo(dtype).eps * exact)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_special_values(axis: int, dtype: str, target: str) -> None:
    for place in range(0, 40, 3):
        for special in (np.nan, np.inf, -np.inf):
            x = np.random.default_rng(place).normal(size=(41, 41)).astype(dtype)
            x[place, place + 1] = special
            for op in (SUM, PROD, MAX, MIN):
                check(x, op, (axis,), target, 1e-3)
    x = np.array([[np.inf, -np.inf, 1.0]], dtype)
    check(x, SUM, (1,), target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 4)])
@pytest.mark.parametrize("op", [SUM, PROD])
def test_of_nothing(op: int, shape: tuple[int, ...], target: str) -> None:
    for dtype in DTYPES:
        for axes in [(0,), (1,), (0, 1)]:
            check(np.zeros(shape, dtype), op, axes, target)


@pytest.mark.parametrize("target", TARGETS)
def test_output_may_alias_an_extra(target: str) -> None:
    """The SGD update of a bias: b -= rate * sum(g)."""
    rng = np.random.default_rng(0)
    g = rng.normal(size=(10, 30)).astype(np.float32)
    b = rng.normal(size=(1, 30)).astype(np.float32)
    code = (
        Instruction("const", immediate=0.5),
        Instruction("mul", (0, 2)),
        Instruction("sub", (1, 3)),
    )
    tape = Tape("float32", 2, code, (4,))
    params = reduce_params(SUM, (0,), Tape.identity("float32"), tape)
    exact = b - 0.5 * g.sum(axis=0, keepdims=True, dtype=np.float64)
    run_kernel("reduce", [g, b], [b], params, target)
    assert_near(b, exact)


@pytest.mark.parametrize("target", TARGETS)
def test_random_bits_in_the_prologue(target: str) -> None:
    """The mean of a dropout mask is that of the same draw outside."""
    code = (Instruction("uniform", (1,), key=77), Instruction("mul", (0, 2)))
    prologue = Tape("float32", 2, code, (3,))
    x = np.ones((30, 70), np.float32)
    params = reduce_params(SUM, (1,), prologue)
    spec = ArraySpec("float32", (30, 1))
    inputs = [x, np.array(5, np.int64)]
    for layout in (x, np.asfortranarray(x)):
        (result,) = run_kernel("reduce", [layout, inputs[1]], [spec], params, target)
        (exact,) = expect("reduce", inputs, [spec], params)
        assert_near(result, exact, 1e-6)


def test_wrong_calls_are_refused() -> None:
    x = np.zeros((3, 4), np.float32)
    params = reduce_params(SUM, (1,), Tape.identity("float32"))
    with pytest.raises(ValueError, match="reduce: output 0 must have size 1"):
        run_kernel("reduce", [x], [ArraySpec("float32", (3, 4))], params)
    params = reduce_params(SUM, (1,), Tape.identity("float32"), binary("add"))
    with pytest.raises(ValueError, match="reduce: the tape has 2 inputs"):
        run_kernel("reduce", [x], [ArraySpec("float32", (3, 1))], params)
    params = reduce_params(9, (1,), unary("neg"))
    with pytest.raises(ValueError, match="reduce: op must be"):
        run_kernel("reduce", [x], [ArraySpec("float32", (3, 1))], params)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3, 4, 5, 5), (0, 2, 3)),
        ((2, 3, 13, 13), (0, 2, 3)),
        ((5, 2, 1, 1), (0, 2, 3)),
        ((2, 3, 4, 4), (0, 2, 3)),
        ((1, 2, 70, 70), (2, 3)),
        ((40, 33), (0,)),
        ((9, 17), (0, 1)),
    ],
)
@pytest.mark.parametrize("layout", ["plain", "strided x", "strided bytes"])
def test_times_bit_count(
    layout: str, shape: tuple[int, ...], axes: tuple[int, ...], dtype: str, target: str
) -> None:
    """x times the ones of a byte, for which sums have code of their own: rows shorter and longer
    than a vector. Small integers, so that all sums are exact."""
    rng = np.random.default_rng(5)
    x = rng.integers(-3, 4, shape).astype(dtype)
    marks = rng.integers(0, 256, shape).astype("uint8")
    if layout != "plain":
        wide = np.repeat(x if layout == "strided x" else marks, 2, axis=-1)
        x, marks = (wide[..., ::2], marks) if layout == "strided x" else (x, wide[..., ::2])
    code = (Instruction("bit_count", (1,)), Instruction("mul", (0, 2)))
    params = reduce_params(SUM, axes, Tape(dtype, 2, code, (3,)))
    [result] = run_kernel(
        "reduce", [x, marks], [ArraySpec(dtype, kept(shape, axes))], params, target
    )
    ones = np.unpackbits(marks[..., None], axis=-1).sum(-1)
    np.testing.assert_array_equal(result, (x * ones).sum(axes, keepdims=True))
