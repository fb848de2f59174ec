"""Fusion: which kernel calls an expression becomes, and that the numbers stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import evaluate
from helpers.graphs import ALL_KERNELS

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.compile.pipeline import compile_plan
from tinygrad_mnist.compile.plan import show_call
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.tensor.nnet import conv2d
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams
from tinygrad_mnist.tensor.signal import pool

M, N, B, I = T.dmatrix("m"), T.dmatrix("n"), T.dvector("b"), T.ivector("i")  # noqa: E741
X, W = T.tensor4("x", "float64"), T.tensor4("w", "float64")
SHAPES = {M: (3, 4), N: (4, 5), B: (5,), I: (3,), X: (2, 1, 8, 8), W: (3, 1, 3, 3)}


def pooled(window: tuple[int, int] = (2, 2), **how: Any) -> theano.Variable:
    return pool.pool_2d(conv2d(X, W), window, ignore_border=True, **how)


def cross_entropy() -> theano.Variable:
    return -T.mean(T.log(T.nnet.softmax(M))[T.arange(I.shape[0]), I])


PLANS: list[tuple[str, Callable[[], Any], list[str]]] = [
    (
        "a chain is one tape",
        lambda: T.tanh(T.exp(M) * 2 + 1),
        ["out0:3x4 = elementwise(m:3x4)  tape: tanh(exp(i0) * 2 + 1)"],
    ),
    (
        "what is read twice is computed once",
        lambda: [T.exp(M), T.exp(M) + 1],
        ["out1:3x4, out0:3x4 = elementwise(m:3x4)  tape: v0 = exp(i0); v0 + 1, v0"],
    ),
    (
        "but not where a third one waits for it",
        lambda: [T.exp(M), T.exp(M) + 1, T.dot(T.exp(M), N)],
        [
            "out0:3x4 = elementwise(m:3x4)  tape: exp(i0)",
            "out1:3x4 = elementwise(out0:3x4)  tape: i0 + 1",
            "out2:3x5 = gemm(out0:3x4, n:4x5)",
        ],
    ),
    (
        "nor where shapes differ",
        lambda: [T.exp(B), T.exp(B) + M[0, 0] * N],
        [
            "out0:5 = elementwise(b:5)  tape: exp(i0)",
            "out1:4x5 = elementwise(out0:1x5, m:1x1, n:4x5)  tape: i0 + i1 * i2",
        ],
    ),
    (
        "operands stretch inside a tape",
        lambda: T.dot(M, N)[0] * B + T.ones_like(B),
        [
            "t0:3x5 = gemm(m:3x4, n:4x5)",
            "out0:5 = elementwise(t0:5, b:5)  tape: i0 * i1 + 1",
        ],
    ),
    (
        "another dtype is another tape",
        lambda: T.cast(T.cast(M, "float32") + 1, "float64") * 2,
        [
            "t0:3x4 = elementwise{cast}(m:3x4 float64)",
            "t1:3x4 = elementwise(t0:3x4)  tape: i0 + 1",
            "out0:3x4 float64 = elementwise(t1:3x4)  tape: i0 * 2",
        ],
    ),
    (
        "a tape before a reduction",
        lambda: T.sum(T.exp(M) * 2, axis=0),
        ["out0:1x4 = reduce{sum over 0}(m:3x4)  prologue: exp(i0) * 2"],
    ),
    (
        "tapes on both sides of a reduction",
        lambda: T.mean((M - T.mean(M, axis=0)) ** 2),
        [
            "t0:1x4 = reduce{sum over 0}(m:3x4)  epilogue: i0 / 3",
            "out0:1x1 = reduce{sum over 0,1}(m:3x4, t0:1x4)"
            "  prologue: sqr(i0 - i1)  epilogue: i0 / 12",
        ],
    ),
    (
        "bias and activation of a product",
        lambda: T.nnet.sigmoid(T.dot(M, N) + B),
        ["out0:3x5 = gemm(m:3x4, n:4x5, b:1x5)  epilogue: sigmoid(i0 + i1)"],
    ),
    (
        "behind a reshape",
        lambda: T.dot(M, N).reshape((15,)) * 2,
        ["out0:3x5 = gemm(m:3x4, n:4x5)  epilogue: i0 * 2"],
    ),
    (
        "a product that is read twice has no epilogue",
        lambda: T.dot(M, N) + T.sum(T.dot(M, N)),
        [
            "t0:3x5 = gemm(m:3x4, n:4x5)",
            "t1:1x1 = reduce{sum over 0,1}(t0:3x5)",
            "out0:3x5 = elementwise(t0:3x5, t1:1x1)  tape: i0 + i1",
        ],
    ),
    (
        "convolution, pool, bias and activation",
        lambda: T.tanh(pooled() + 1),
        ["out0:2x3x3x3 = conv2d_pool{pool 2x2}(x:2x1x8x8, w:3x1x3x3)  epilogue: tanh(i0 + 1)"],
    ),
    (
        "their gradients",
        lambda: T.grad(T.sum(T.tanh(pooled() + 1)), [X, W]),
        [
            "t0:2x3x3x3, t1:2x3x3x3x1 uint8 = conv2d_pool{pool 2x2}(x:2x1x8x8, w:3x1x3x3)"
            "  epilogue: 1 - sqr(tanh(i0 + 1))",
            "out0:2x1x8x8 = conv2d_pool_grad_input{pool 2x2}"
            "(w:3x1x3x3, t0:2x3x3x3, t1:2x3x3x3x1 uint8)",
            "out1:3x1x3x3 = conv2d_pool_grad_filter{pool 2x2}"
            "(x:2x1x8x8, t0:2x3x3x3, t1:2x3x3x3x1 uint8)",
        ],
    ),
    (
        "a convolution that is read beside its pool",
        lambda: [pooled(), T.sum(conv2d(X, W))],
        [
            "t0:2x3x6x6 = conv2d(x:2x1x8x8, w:3x1x3x3)",
            "out0:2x3x3x3 = pool2d{window 2x2 stride 2x2}(t0:2x3x6x6)",
            "out1:1x1x1x1 = reduce{sum over 0,1,2,3}(t0:2x3x6x6)",
        ],
    ),
    (
        "windows that overlap",
        lambda: pooled((3, 3), stride=(1, 1)),
        [
            "t0:2x3x6x6 = conv2d(x:2x1x8x8, w:3x1x3x3)",
            "out0:2x3x4x4 = pool2d{window 3x3}(t0:2x3x6x6)",
        ],
    ),
    (
        "cross-entropy",
        lambda: T.sum(-T.log(T.nnet.softmax(M))[T.arange(3), I]),
        [
            "- = check_range{low -4 high 4}(i:3 int32)",
            "t0:3, t1:3x4 = softmax_xent(m:3x4, i:3 int32)",
            "out0:1 = reduce{sum over 0}(t0:3)",
        ],
    ),
    (
        "cross-entropy and its gradient",
        lambda: [cross_entropy(), T.grad(cross_entropy(), M)],
        [
            "- = check_range{low -4 high 4}(i:3 int32)",
            "t0:3, t1:3x4 = softmax_xent(m:3x4, i:3 int32)",
            "out0:1 = reduce{sum over 0}(t0:3)  prologue: -i0  epilogue: -(i0 / 3)",
            "out1:3x4 = softmax_xent_grad(t1:3x4, i:3 int32, c9:1)",
        ],
    ),
    (
        "a slice before the work",
        lambda: T.exp(M)[1:],
        ["out0:2x4 = elementwise(m+4:2x4)  tape: exp(i0)"],
    ),
]


@pytest.mark.parametrize(
    ("make", "expected"), [p[1:] for p in PLANS], ids=[name for name, *_ in PLANS]
)
def test_plan(make: Callable[[], Any], expected: list[str]) -> None:
    made = make()
    outputs = made if isinstance(made, list) else [made]
    plan = compile_plan(outputs, {}, SHAPES, {}, "fused", ALL_KERNELS, True).plan
    assert ["  ".join(show_call(plan, call)) for call in plan.calls] == expected
    assert all(count > 0 for count in plan.rewrites.values())


@pytest.mark.parametrize("make", [p[1] for p in PLANS], ids=[name for name, *_ in PLANS])
def test_numbers_stay(make: Callable[[], Any]) -> None:
    rng = np.random.default_rng(1)
    values = [
        rng.integers(0, 4, shape).astype("int32") if v is I else rng.normal(size=shape)
        for v, shape in SHAPES.items()
    ]
    made = make()
    outputs = made if isinstance(made, list) else [made]
    plain, fused = (
        evaluate(device, list(SHAPES), outputs, *values, on_unused_input="ignore")
        for device in ("reference", "fused")
    )
    for result, expected in zip(fused, plain, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-7)


def test_only_kernels_of_the_backend_are_used() -> None:
    base = frozenset(name for name, contract in CONTRACTS.items() if contract.base)
    outputs = [cross_entropy(), *T.grad(T.sum(T.tanh(pooled())), [X, W])]
    plan = compile_plan(outputs, {}, SHAPES, {}, "small", base, True).plan
    assert {call.kernel for call in plan.calls} <= base
    assert "pool2d_grad" in {call.kernel for call in plan.calls}


def test_a_missing_kernel_is_named_with_the_line() -> None:
    product = T.dot(M, N)
    with pytest.raises(NotImplementedError, match=r"(?s)'small' has no kernel 'gemm'.*test_fusion"):
        compile_plan([product], {}, SHAPES, {}, "small", ALL_KERNELS - {"gemm"}, True)


def test_draws_stay_in_their_places() -> None:
    """A draw belongs to a position: no rule may move it behind a transpose."""

    def outputs() -> list[theano.Variable]:
        stream = RandomStreams(1)
        return [
            T.dot(M, N).T * stream.uniform((5, 3), dtype="float64"),
            T.sum(stream.uniform((3, 4), dtype="float64"), axis=0),
            T.sum(stream.uniform((3, 4), dtype="float64") * M, axis=1),
        ]

    values = [np.ones((3, 4)), np.ones((4, 5))]
    plain, fused = (evaluate(d, [M, N], outputs(), *values) for d in ("reference", "fused"))
    for result, expected in zip(fused, plain, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_large_tapes_are_cut() -> None:
    x = T.dvector("x")
    total = x
    for number in range(200):
        total = T.tanh(total + number)
    result = {}
    for device in ("reference", "fused"):
        with making_functions_for(device):
            function = theano.function([x], total)
            result[device] = function(np.linspace(-1, 1, 5))
    np.testing.assert_array_equal(result["fused"], result["reference"])
    lengths = [len(call.params["tape"].instructions) for call in function.plan.calls]
    assert 1 < len(lengths) < 20
    assert max(lengths) <= 192


def test_many_operands_are_cut() -> None:
    inputs = [T.dvector(f"x{i}") for i in range(30)]
    total = inputs[0]
    for v in inputs[1:]:
        total = T.tanh(total) + v
    values = [np.array([float(i)]) for i in range(30)]
    with making_functions_for("fused"):
        function = theano.function(inputs, total)
        result = function(*values)
    np.testing.assert_array_equal(result, evaluate("reference", inputs, total, *values))
    assert all(len(call.inputs) <= 12 for call in function.plan.calls)


def test_a_step_of_adam_is_one_tape() -> None:
    """Moments and weights are read and written once, in place."""
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 5)) for _ in range(3)]
    result = {}
    for device in ("reference", "fused", "cpu"):
        w, m, v, t = map(theano.shared, (*values, np.float64(0)))
        m1, v1 = 0.9 * m + 0.1 * T.dot(M, N), 0.999 * v**2 + 0.001 * T.dot(M, N) ** 2
        c1, c2 = 1 - 0.9 ** (t + 1), 1 - 0.999 ** (t + 1)
        updates = [(t, t + 1), (m, m1), (v, v1), (w, w - (m1 / c1) / (T.sqrt(v1 / c2) + 1e-8))]
        with making_functions_for(device):
            function = theano.function([M, N], T.sum(w), updates=updates)
            cost = [function(np.ones((3, 4)), np.ones((4, 5))) for _ in range(3)]
        result[device] = [*cost, *(variable.get_value() for variable in (w, m, v))]
        if device != "reference":
            matrices = [c for c in function.plan.calls if c.outputs[0].spec.shape == (3, 5)]
            assert [len(c.outputs) for c in matrices] == [1, 3]  # a product, then all updates
            assert {function.plan.buffers[o.buffer].kind for o in matrices[1].outputs} == {"shared"}
    for device in ("fused", "cpu"):
        for got, expected in zip(result[device], result["reference"], strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9)


_A, _B, _C = (T.dmatrix(name) for name in "abc")
_TOTAL, _PRODUCT = _A + _B, T.exp(_A * _B)
_SCALED, _SQUARE = _TOTAL * 2.0, T.sqr(_B)
_ROOT = T.sqrt(T.exp(_SCALED))

# Results, and how many each call of the plan has.
JOINED: list[tuple[str, list[Any], list[int]]] = [
    ("a chain", [_TOTAL, _SCALED, _ROOT], [3]),
    ("a chain in another order", [_ROOT, _TOTAL, _SCALED], [3]),
    ("a result twice", [_ROOT, _TOTAL, _SCALED, _TOTAL], [3, 1]),
    ("chains that meet", [_TOTAL, _SCALED, _C * 3, T.maximum(_SCALED, _C * 3)], [4]),
    ("a result with two readers", [_TOTAL, T.exp(_TOTAL), T.sin(_TOTAL)], [1, 1, 1]),
    ("a shared value", [_PRODUCT + _C, _PRODUCT * _C], [2]),
    ("of a chain", [_SQUARE, T.exp(_SQUARE) + _C, T.exp(_SQUARE) * _C], [3]),
    ("and a sum of it", [_PRODUCT + _C, _PRODUCT * _C, T.sum(_PRODUCT)], [1, 1, 1, 1]),
    ("and a reader of another shape", [_PRODUCT + _C, _PRODUCT[:1] * 2], [1, 1]),
    ("and a reader that is read", [_PRODUCT + _C, T.exp(_PRODUCT * _C).sum()], [1, 1, 1]),
]


@pytest.mark.parametrize(
    ("results", "counts"), [p[1:] for p in JOINED], ids=[name for name, *_ in JOINED]
)
def test_results_that_join(results: list[Any], counts: list[int]) -> None:
    values = [np.random.default_rng(n).normal(size=(3, 5)) for n in range(3)]
    expected = evaluate("reference", [_A, _B, _C], results, *values, on_unused_input="ignore")
    for device in ("fused", "cpu"):
        with making_functions_for(device):
            function = theano.function([_A, _B, _C], results, on_unused_input="ignore")
            found = function(*values)
        for got, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-12)
        assert [len(call.outputs) for call in function.plan.calls] == counts
        joined = function.plan.rewrites.get("result of another tape", 0)
        assert joined == sum(count - 1 for count in counts)


@pytest.mark.parametrize("first", ["the gradient", "the tape"])
def test_a_kernel_whose_other_result_is_read_before_its_tape(first: str) -> None:
    """It computes its results once, though the winners of the pool are wanted before its values."""
    values = pooled()
    results = [T.grad(T.sum(values), X), T.tanh(values)][:: 1 if first == "the gradient" else -1]
    inputs = [np.random.default_rng(7).normal(size=SHAPES[v]) for v in (X, W)]
    with making_functions_for("fused"):
        function = theano.function([X, W], results)
        found = function(*inputs)
    expected = evaluate("reference", [X, W], results, *inputs)
    for got, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12)
    kernels = [call.kernel for call in function.plan.calls]
    assert kernels.count("conv2d_pool") == 1
    assert kernels.count("elementwise") == (first == "the gradient")


def test_many_results_are_cut() -> None:
    """A tape takes in others up to its limits; what doesn't fit stays a call of its own."""
    inputs = [T.dvector(f"x{i}") for i in range(20)]
    others = [T.exp(v) for v in inputs]
    values = [np.array([float(i)]) for i in range(20)]
    results = [T.tanh(sum(others[:10])), *others]
    with making_functions_for("fused"):
        function = theano.function(inputs, results)
        found = function(*values)
    for got, expected in zip(found, evaluate("reference", inputs, results, *values), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert [len(c.outputs) for c in function.plan.calls if len(c.outputs) > 1] == [11]
    assert all(len(c.inputs) <= 12 for c in function.plan.calls)
