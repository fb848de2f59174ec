"""integer_gemm: any shape, layout and dtype; sums wrap around as NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.layouts import integer_matrix, relaid
from helpers.native import TARGETS, expect, poisoned, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.graph.types import BOOL, INTEGERS

DTYPES = (BOOL, *INTEGERS)
SIZES = st.one_of(st.integers(0, 20), st.sampled_from([31, 32, 33, 64, 127, 130, 260]))
LAYOUTS = st.sampled_from(["rows", "columns", "any"])


@pytest.mark.covers("integer_gemm", dtypes=DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(
    m=SIZES,
    n=SIZES,
    k=SIZES,
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(m, n, k, layouts, dtype, target, seed):
    rng = np.random.default_rng(seed)
    a = integer_matrix(rng, layouts[0], (m, k), dtype)
    b = integer_matrix(rng, layouts[1], (k, n), dtype)
    spec = ArraySpec(dtype, (m, n))
    [result] = run_kernel("integer_gemm", [a, b], [relaid(poisoned(spec), rng)], {}, target)
    np.testing.assert_array_equal(result, expect("integer_gemm", [a, b], [spec], {})[0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("a", "b", "output", "why"),
    [
        (("float32", (2, 2)), ("float32", (2, 2)), ("float32", (2, 2)), "computes in integers"),
        (("int8", (2, 2)), ("int16", (2, 2)), ("int16", (2, 2)), "takes and returns one dtype"),
        (("int8", (2, 3)), ("int8", (2, 2)), ("int8", (2, 2)), "as many rows as input 0 has col"),
        (("int8", (2, 3)), ("int8", (3, 2)), ("int8", (2, 3)), "input 0's rows and input 1's col"),
        (("int8", (2,)), ("int8", (2, 2)), ("int8", (2, 2)), "takes and returns matrices"),
    ],
)
def test_wrong_operands(target, a, b, output, why):
    arrays = [np.zeros(shape, dtype) for dtype, shape in (a, b)]
    with pytest.raises(ValueError, match=why):
        run_kernel("integer_gemm", arrays, [ArraySpec(*output)], {}, target)
