from __future__ import annotations

import numpy as np
import pytest
from helpers.epilogues import EPILOGUES, decayed_update, epilogue, update
from helpers.layouts import normal, relaid
from helpers.native import TARGETS, assert_near, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape

SIZES = st.one_of(st.integers(0, 20), st.sampled_from([33, 64, 100, 130]))


def operand(rng: np.random.Generator, layout: str, shape: tuple[int, int], dtype: str, whole=False):
    values = normal(rng, shape, dtype, whole)
    if layout == "rows":
        return values
    return np.asfortranarray(values) if layout == "columns" else relaid(values, rng)


LAYOUTS = st.sampled_from(["rows", "columns", "any"])


@pytest.mark.covers("gemm")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    m=SIZES,
    n=SIZES,
    k=SIZES,
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    dtype=st.sampled_from(["float32", "float64"]),
    kind=st.sampled_from(EPILOGUES),
    whole=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(m, n, k, layouts, dtype, target, kind, whole, seed):
    """Sums of products of small whole numbers are exact in any order; float64 has nothing finer to
    be compared with."""
    rng = np.random.default_rng(seed)
    whole = whole or dtype == "float64"
    a = operand(rng, layouts[0], (m, k), dtype, whole)
    b = operand(rng, layouts[1], (k, n), dtype, whole)
    tail = epilogue(kind, rng, (m, n), dtype, bias_axis=1, whole=whole)
    spec, params = ArraySpec(dtype, (m, n)), {"epilogue": tail.tape}
    exact = expect("gemm", [a, b, *tail.extras], [spec], params)[0]
    output = relaid(poisoned(spec), rng) if tail.output is None else tail.output
    [result] = run_kernel("gemm", [a, b, *tail.extras], [output], params, target)
    if whole and kind in ("identity", "bias_relu"):
        np.testing.assert_array_equal(result, exact)
    else:
        assert_near(result, exact)


# (m, n, k): layers and weight gradients at batch 10, and shapes that cut every way.
SHAPES = [
    (10, 100, 640),
    (640, 100, 10),
    (10, 640, 100),
    (100, 10, 10),
    (1, 1000, 1000),
    (200, 300, 400),
    (50, 17, 1030),
    (130, 1500, 70),
    (1, 1, 300_000),
    (9, 40, 20_000),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", TARGETS)
def test_same_bits_for_any_number_of_threads(shape, target):
    m, n, k = shape
    rng = np.random.default_rng(3)
    a, b = normal(rng, (m, k), "float32"), normal(rng, (n, k), "float32").T
    spec, params = ArraySpec("float32", (m, n)), {"epilogue": Tape.identity("float32")}
    results = [run_kernel("gemm", [a, b], [spec], params, target, t)[0] for t in (1, 2, 4)]
    assert_near(results[0], expect("gemm", [a, b], [spec], params)[0])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("k", "n"),
    [(300, 3), (300, 8), (300, 19), (300, 100), (777, 43), (1100, 8), (20_000, 3), (20_000, 43)],
)
def test_layouts_and_tiles_do_not_change_a_bit(target, k, n):
    rng = np.random.default_rng(4)
    a, b = normal(rng, (61, k), "float32"), normal(rng, (k, n), "float32")
    params = {"epilogue": Tape.identity("float32")}
    spec = ArraySpec("float32", (61, n))
    [whole] = run_kernel("gemm", [a, b], [spec], params, target)
    for left in (np.asfortranarray(a), relaid(a, rng)):
        for right in (np.asfortranarray(b), relaid(b, rng)):
            [result] = run_kernel("gemm", [left, right], [spec], params, target)
            np.testing.assert_array_equal(result, whole)
    for i in (0, 1, 60):
        one = ArraySpec("float32", (1, n))
        [row] = run_kernel("gemm", [a[i : i + 1], b], [one], params, target)
        np.testing.assert_array_equal(row, whole[i : i + 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("k", [0, 10, 70, 300, 1500])  # one pass over the output, and more
def test_a_step_of_descent_has_the_bits_of_its_tape(k, target, dtype):
    rng = np.random.default_rng(5)
    scalars = [np.array(x, dtype) for x in (0.1, 0.3)]
    for m, n in ((1, 16), (7, 10), (20, 3), (40, 100), (97, 17)):
        a, b = operand(rng, "columns", (m, k), dtype), normal(rng, (k, n), dtype)
        old = normal(rng, (m, n), dtype)
        filled = [np.broadcast_to(x, (m, n)) for x in scalars]
        for tape, extras in ((update(dtype), []), (decayed_update(dtype), filled)):
            params = {"epilogue": tape}
            inside = old.copy()
            run_kernel("gemm", [a, b, inside, *extras], [inside], params, target)
            outside = old.copy("F")  # strided: through a buffer and the interpreter
            run_kernel("gemm", [a, b, outside, *extras], [outside], params, target)
            np.testing.assert_array_equal(inside, outside)
            spec = ArraySpec(dtype, (m, n))
            assert_near(inside, expect("gemm", [a, b, old, *extras], [spec], params)[0])


@pytest.mark.parametrize("where", [1, 2])
def test_a_rate_per_element_is_no_step_of_descent(where):
    rng = np.random.default_rng(6)
    a, b, old, rates = (normal(rng, s, "float32") for s in ((9, 4), (4, 20), (9, 20), (9, 20)))
    one = np.broadcast_to(np.float32(0.5), (9, 20))
    scalars = [rates, one] if where == 1 else [one, rates]
    params, spec = {"epilogue": decayed_update("float32")}, ArraySpec("float32", (9, 20))
    [result] = run_kernel("gemm", [a, b, old, *scalars], [spec], params)
    assert_near(result, expect("gemm", [a, b, old, *scalars], [spec], params)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("after", [None, "sigmoid", "maximum"])
def test_what_is_added_may_be_what_is_written(after, target, dtype):
    rng = np.random.default_rng(7)
    code = [Instruction("add", (0, 1))]
    if after == "sigmoid":
        code += [Instruction("sigmoid", (2,))]
    elif after == "maximum":
        code += [Instruction("const", (), 0.0), Instruction("maximum", (3, 2))]
    params = {"epilogue": Tape(dtype, 2, tuple(code), (1 + len(code),))}
    for m, n in ((1, 3), (1, 19), (5, 8), (7, 100)):
        a, b = normal(rng, (m, 20), dtype), normal(rng, (20, n), dtype)
        added, spec = normal(rng, (m, n), dtype), ArraySpec(dtype, (m, n))
        exact = expect("gemm", [a, b, added], [spec], params)[0]
        apart = np.repeat(added, 2, axis=1)[:, ::2]  # strided: through the interpreter
        [interpreted] = run_kernel("gemm", [a, b, apart], [spec], params, target)
        run_kernel("gemm", [a, b, added], [added], params, target)
        assert_near(added, exact)
        np.testing.assert_array_equal(added, interpreted)


@pytest.mark.parametrize("k", [0, 1])
def test_no_terms_is_zero(k):
    a, b = np.ones((3, k), np.float32), np.ones((k, 5), np.float32)
    params = {"epilogue": Tape.identity("float32")}
    [result] = run_kernel("gemm", [a, b], [ArraySpec("float32", (3, 5))], params)
    np.testing.assert_array_equal(result, np.full((3, 5), float(k), np.float32))


def test_refuses_wrong_operands():
    params = {"epilogue": Tape.identity("float32")}
    a, b = np.ones((3, 4), np.float32), np.ones((5, 2), np.float32)
    with pytest.raises(ValueError, match=r"gemm.*input 1 \(b\).*size 4 on axis 0"):
        run_kernel("gemm", [a, b], [ArraySpec("float32", (3, 2))], params)
    with pytest.raises(ValueError, match=r"gemm.*input 1 \(b\).*float32"):
        run_kernel("gemm", [a, b.astype(np.float64)], [ArraySpec("float32", (3, 2))], params)
