from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.convolutions import AWKWARD, Case, cases
from helpers.epilogues import EPILOGUES, epilogue
from helpers.layouts import relaid
from helpers.native import TARGETS, assert_near, call_spec, expect, instruction_set, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist import _native
from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape


@pytest.mark.covers("conv2d")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    case=cases(pooled=False),
    kind=st.sampled_from(EPILOGUES),
    strided=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_convolution(case, target, kind, strided, seed):
    rng = np.random.default_rng(seed)
    x, w = case.operand(rng, case.x, strided), case.operand(rng, case.w, strided)
    tail = epilogue(kind, rng, case.y.shape, case.dtype, bias_axis=1)
    inputs, params = [x, w, *tail.extras], case.params(tail.tape)
    exact = expect("conv2d", inputs, [case.y], params)[0]
    output = relaid(poisoned(case.y), rng) if tail.output is None else tail.output
    [y] = run_kernel("conv2d", inputs, [output], params, target)
    assert_near(y, exact)


def test_flip_rotates_filters_by_180_degrees():
    rng = np.random.default_rng(1)
    case = Case(2, 3, (9, 8), 5, (3, 4), padding=(1, 0))
    x, w = case.operand(rng, case.x, False), case.operand(rng, case.w, False)
    [rotated] = run_kernel("conv2d", [x, w[:, :, ::-1, ::-1]], [case.y], case.params())
    [flipped] = run_kernel("conv2d", [x, w], [case.y], replace(case, flip=1).params())
    assert_near(flipped, rotated.astype(np.float64))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", AWKWARD)
def test_equal_patches_give_equal_bits(case, dtype, target):
    rng = np.random.default_rng(2)
    case = replace(case, dtype=dtype, padding=(0, 0))
    x = np.broadcast_to(rng.standard_normal((1, case.c, 1, 1)), case.x.shape).astype(dtype)
    w = case.operand(rng, case.w, False)
    [y] = run_kernel("conv2d", [x, w], [case.y], case.params(), target)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:1, :, :1, :1], y.shape))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", AWKWARD)
def test_same_bits_for_any_number_of_threads(case, target):
    rng = np.random.default_rng(3)
    x, w = case.operand(rng, case.x, False), case.operand(rng, case.w, False)
    results = [run_kernel("conv2d", [x, w], [case.y], case.params(), target, t) for t in (1, 2, 4)]
    for result in results[1:]:
        np.testing.assert_array_equal(result[0], results[0][0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pool", [None, (2, 2)])
@pytest.mark.parametrize(
    "case",
    [
        Case(2, 1, (28, 28), 20, (5, 5)),
        Case(1, 2, (40, 131), 7, (3, 3), padding=(1, 1), flip=1),
        Case(2, 3, (37, 70), 5, (4, 5), stride=(3, 2), padding=(2, 0)),
        Case(1, 1, (23, 90), 4, (1, 2), stride=(2, 4)),
    ],
)
def test_few_and_many_channels_give_the_same_bits(case, pool, dtype, target):
    """Further channels of zeros, with which vectors run over filters instead of positions."""
    rng = np.random.default_rng(4)
    case = replace(case, pool=pool, dtype=dtype)
    wide = replace(case, c=case.c + 100)
    name = "conv2d_pool" if pool else "conv2d"
    outputs = [case.y, case.winners] if pool else [case.y]
    x, w = case.operand(rng, case.x, False), case.operand(rng, case.w, False)
    few = run_kernel(name, [x, w], outputs, case.params(), target)
    padded = [np.zeros(spec.shape, dtype) for spec in (wide.x, wide.w)]
    padded[0][:, : case.c], padded[1][:, : case.c] = x, w
    many = run_kernel(name, padded, outputs, wide.params(), target)
    for a, b in zip(few, many, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("channels", "kernel"), [(1, (3, 5)), (3, (1, 5)), (3, (5, 1)), (3, (1, 1)), (1, (1, 1))]
)
def test_strides_of_single_elements_mean_nothing(channels, kernel, target):
    """Filters that lie in order are read where they are, and not copied by a phase of its own."""
    rng = np.random.default_rng(6)
    case = Case(2, channels, (12, 40), 7, kernel)
    x, w = case.operand(rng, case.x, False), case.operand(rng, case.w, False)
    strides = [s if n > 1 else 2**20 for n, s in zip(w.shape, w.strides, strict=True)]
    far = np.lib.stride_tricks.as_strided(w, w.shape, strides)
    y, same = (run_kernel("conv2d", [x, v], [case.y], case.params(), target)[0] for v in (w, far))
    np.testing.assert_array_equal(y, same)

    def n_phases(filters):
        call = call_spec("conv2d", [x, filters], [y], case.params())
        with instruction_set(target):
            return len(_native.Program([("bind", k) for k in range(3)], [call], [()], 0).phases)

    assert n_phases(w) == n_phases(far) == 1
    assert n_phases(far[:, ::-1, ::-1, ::-1]) == (1 if w[0].size == 1 else 2)


SUM = Instruction("add", (0, 1))
ZERO = Instruction("const", (), 0.0)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("side", [2, 9])
@pytest.mark.parametrize(
    "code",
    [
        (SUM,),
        (Instruction("add", (1, 0)),),
        (SUM, ZERO, Instruction("maximum", (2, 3))),
        (ZERO, SUM, Instruction("maximum", (2, 3))),
        (SUM, ZERO, Instruction("maximum", (2, 2))),
        (SUM, Instruction("sigmoid", (2,))),
        (SUM, Instruction("tanh", (2,))),
    ],
)
def test_an_epilogue_has_the_bits_of_its_tape(code, side, dtype, target):
    rng = np.random.default_rng(5)
    case = Case(2, 1, (side, side), 6, (1, 1), dtype=dtype)
    tape = Tape(dtype, 2, code, (1 + len(code),))
    x, w = case.operand(rng, case.x, False), np.ones(case.w.shape, dtype)
    x[0, 0, 0], w[0], w[1, 0] = -0.0, np.nan, -1
    bias = np.broadcast_to(rng.choice([0.0, -0.0, 1.5], (1, 6, 1, 1)).astype(dtype), case.y.shape)
    plain = run_kernel("conv2d", [x, w], [case.y], case.params(), target)
    [y] = run_kernel("conv2d", [x, w, bias], [case.y], case.params(tape), target)
    [exact] = run_kernel("elementwise", [*plain, bias], [case.y], {"tape": tape}, target)
    np.testing.assert_array_equal(y, exact)
    finite = ~np.isnan(exact)
    np.testing.assert_array_equal(np.signbit(y[finite]), np.signbit(exact[finite]))


def test_a_filter_larger_than_the_image():
    case = Case(2, 1, (3, 3), 2, (4, 1))
    x, w = np.ones(case.x.shape, np.float32), np.ones(case.w.shape, np.float32)
    [y] = run_kernel("conv2d", [x, w], [case.y], case.params())
    assert y.shape == (2, 2, 0, 3)


def test_refuses_wrong_operands():
    case = Case(2, 3, (5, 5), 4, (3, 3))
    x, w = np.ones(case.x.shape, np.float32), np.ones(case.w.shape, np.float32)
    with pytest.raises(ValueError, match=r"conv2d.*input 1 \(w\).*size 3 on axis 1"):
        run_kernel("conv2d", [x, w[:, :2]], [case.y], case.params())
    with pytest.raises(ValueError, match=r"conv2d.*input 1 \(w\).*float32"):
        run_kernel("conv2d", [x, w.astype(np.float64)], [case.y], case.params())
    with pytest.raises(ValueError, match=r"conv2d.*output 0 \(y\)"):
        run_kernel("conv2d", [x, w], [ArraySpec("float32", (2, 4, 4, 3))], case.params())
    with pytest.raises(ValueError, match=r"conv2d.*epilogue"):
        run_kernel("conv2d", [x, w, x], [case.y], case.params())
