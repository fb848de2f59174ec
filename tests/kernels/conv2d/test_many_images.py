"""Convolutions of many images, whose vectors may run over images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.convolutions import Case, cases
from helpers.epilogues import EPILOGUES, epilogue
from helpers.layouts import relaid
from helpers.native import TARGETS, assert_near, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec

KERNELS = ("conv2d", "conv2d_grad_input", "conv2d_grad_filter")

# Strides, flips, images that aren't square, sizes that leave lanes, filters, positions and taps
# over; strips of large images; filters larger than the stride or smaller; few channels.
MANY = [
    Case(37, 12, (28, 28), 24, (6, 6), (2, 2), (2, 2)),
    Case(50, 24, (14, 14), 32, (6, 6), (2, 2), (2, 2)),
    Case(20, 5, (14, 13), 7, (5, 4), (3, 2), (2, 1), flip=1),
    Case(16, 3, (9, 11), 13, (3, 3), padding=(1, 1)),
    Case(33, 1, (28, 28), 12, (3, 3), padding=(1, 1)),
    Case(17, 2, (8, 8), 3, (2, 2), (4, 3), (0, 3)),
    Case(16, 40, (30, 61), 10, (3, 3), (2, 2), (1, 1)),
    Case(48, 9, (6, 6), 5, (1, 1)),
    Case(16, 4, (3, 3), 6, (3, 3), padding=(5, 5), flip=1),
    Case(24, 4, (40, 40), 6, (3, 3), (2, 1)),
]


def operands(name, case, rng, strided=False):
    """A kernel's inputs without extras, and the spec of its output."""
    x, w, y = (case.operand(rng, spec, strided) for spec in (case.x, case.w, case.y))
    return {
        "conv2d": ([x, w], case.y),
        "conv2d_grad_input": ([w, y], case.x),
        "conv2d_grad_filter": ([x, y], case.w),
    }[name]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=15)
@given(
    case=cases(pooled=False, images=(16, 37)),
    kind=st.sampled_from(EPILOGUES),
    strided=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_convolution(name, target, case, kind, strided, seed):
    rng = np.random.default_rng(seed)
    own, spec = operands(name, case, rng, strided)
    tail = epilogue(kind, rng, spec.shape, case.dtype, 0 if name == KERNELS[2] else 1)
    inputs, params = [*own, *tail.extras], case.params(tail.tape)
    exact = expect(name, inputs, [spec], params)[0]
    output = relaid(poisoned(spec), rng) if tail.output is None else tail.output
    plain = expect(name, own, [spec], case.params())[0]
    [result] = run_kernel(name, inputs, [output], params, target)
    # An epilogue may leave little of the result, whose rounding then counts against itself.
    cancelled = np.linalg.norm(plain) / (np.linalg.norm(exact) or 1.0)
    assert_near(result, exact, 32 * float(np.finfo(case.dtype).eps) * max(1.0, cancelled))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("case", MANY)
def test_near_the_reference_with_the_same_bits_for_any_number_of_threads(case, name, target):
    inputs, spec = operands(name, case, np.random.default_rng(0))
    results = [run_kernel(name, inputs, [spec], case.params(), target, t)[0] for t in (1, 2, 4)]
    assert_near(results[0], expect(name, inputs, [spec], case.params())[0])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", KERNELS[:2])
@pytest.mark.parametrize("case", MANY)
def test_many_images_have_the_bits_of_few(case, name, target):
    """A few images alone are too few for a vector."""
    inputs, spec = operands(name, case, np.random.default_rng(1))
    of_images = 0 if name == "conv2d" else 1
    [many] = run_kernel(name, inputs, [spec], case.params(), target)
    for first in range(0, case.n, 5):
        some = list(inputs)
        some[of_images] = inputs[of_images][first : first + 5]
        few_spec = ArraySpec(spec.dtype, (len(some[of_images]), *spec.shape[1:]))
        few_case = replace(case, n=few_spec.shape[0])
        [few] = run_kernel(name, some, [few_spec], few_case.params(), target)
        np.testing.assert_array_equal(many[first : first + 5], few)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("operand", [0, 1])
@pytest.mark.parametrize("name", KERNELS)
def test_nan_and_inf_reach_what_they_should(name, operand, bad, target):
    """Zeros around an image take part in the arithmetic: 0 * inf is NaN."""
    case = Case(34, 8, (8, 8), 6, (4, 4), (2, 2), (1, 1))
    inputs, spec = operands(name, case, np.random.default_rng(2))
    inputs[operand][3 if operand else 1, 1, 0, 1] = bad
    [result] = run_kernel(name, inputs, [spec], case.params(), target)
    exact = expect(name, inputs, [spec], case.params())[0]
    finite = np.isfinite(result)
    if name == "conv2d_grad_input" and operand == 0:  # taps that meet no position may add 0 * w
        assert not finite[~np.isfinite(exact)].any()
        assert finite[:, [0, *range(2, 8)]].all()
    else:
        np.testing.assert_array_equal(finite, np.isfinite(exact))
    both = finite & np.isfinite(exact)
    np.testing.assert_allclose(result[both], exact[both], rtol=1e-4, atol=1e-4)
