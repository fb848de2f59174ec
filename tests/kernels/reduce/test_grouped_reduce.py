"""grouped_reduce: the bits of separate reductions, in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.arrays import operand, seeds, shapes, strided
from helpers.native import TARGETS, AnyArray, assert_near, expect, run_kernel, unary
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.group import join_members
from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.contracts.reduce.reduce import MAX, REDUCE, SUM

# extra - 0.5 * reduced
UPDATE = Tape(
    "float32",
    2,
    (Instruction("const", immediate=0.5), Instruction("mul", (0, 2)), Instruction("sub", (1, 3))),
    (4,),
)


def member(
    x: AnyArray, op: int, axes: tuple[int, ...], *extras: AnyArray
) -> tuple[dict[str, Any], list[AnyArray], ArraySpec]:
    """Parameters, operands and output of a reduction of the squares of x."""
    params = {
        "op": op,
        "axes_mask": sum(1 << a for a in axes),
        "n_prologue": 1,
        "prologue": unary("sqr", x.dtype.name),
        "epilogue": UPDATE if extras else Tape.identity(x.dtype.name),
    }
    shape = tuple(1 if d in axes else side for d, side in enumerate(x.shape))
    return params, [x, *extras], ArraySpec(x.dtype.name, shape)


@pytest.mark.covers("grouped_reduce", dtypes=["float32", "float64", "int64"])
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    dtypes=st.lists(st.sampled_from(["float32", "float64", "int64"]), min_size=1, max_size=5),
    shape=shapes(),
    seed=seeds,
)
def test_a_group_is_its_members(
    target: str, dtypes: list[str], shape: tuple[int, ...], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    members = []
    for dtype in dtypes:
        axes = tuple(d for d in range(len(shape)) if rng.random() < 0.5)
        members.append(member(operand(rng, shape, dtype), SUM, axes))
    params = join_members(REDUCE, [(own, len(inputs)) for own, inputs, _ in members])
    operands = [x for _, inputs, _ in members for x in inputs]
    specs = [spec for *_, spec in members]
    views = [strided(rng, poisoned(spec)) for spec in specs]
    results = run_kernel("grouped_reduce", operands, views, params, target)
    exact = expect("grouped_reduce", operands, specs, params)
    for result, wanted, (own, inputs, spec) in zip(results, exact, members, strict=True):
        (alone,) = run_kernel("reduce", inputs, [spec], own, target)
        np.testing.assert_array_equal(result, alone)
        assert_near(result, wanted, 1e-5 if spec.dtype == "float32" else 1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_members_of_many_sizes(target: str) -> None:
    """Members that `reduce` would cut into parts, and updates in place, for any team."""
    rng = np.random.default_rng(0)
    large = rng.random((3, 30_000), np.float32)
    small = rng.random((10, 7), np.float32)
    bias = rng.random((1, 7), np.float32)
    answers = []
    for threads in (1, 2, 4):
        updated = bias.copy()
        members = [
            member(large, SUM, (0, 1)),
            member(small, SUM, (0,), updated),
            member(large, MAX, (1,)),
        ]
        params = join_members(REDUCE, [(own, len(inputs)) for own, inputs, _ in members])
        operands = [x for _, inputs, _ in members for x in inputs]
        outputs = [poisoned(members[0][2]), updated, poisoned(members[2][2])]
        answers.append(run_kernel("grouped_reduce", operands, outputs, params, target, threads))
    exact = (large.astype(np.float64) ** 2).sum()
    assert_near(answers[0][0], np.full((1, 1), exact), 1e-7)
    assert_near(answers[0][1], bias - 0.5 * (small.astype(np.float64) ** 2).sum(0, keepdims=True))
    np.testing.assert_array_equal(answers[0][2], (large**2).max(1, keepdims=True))
    for other in answers[1:]:
        for a, b in zip(answers[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_wrong_calls_are_refused() -> None:
    x = np.zeros((3, 4), np.float32)
    own, inputs, spec = member(x, SUM, (1,))
    with pytest.raises(ValueError, match="n_inputs must add up"):
        run_kernel(
            "grouped_reduce", [x, x, x], [spec, spec], join_members(REDUCE, [(own, 1), (own, 1)])
        )
    with pytest.raises(ValueError, match="four integers and two tapes per output"):
        run_kernel("grouped_reduce", inputs, [spec, spec], join_members(REDUCE, [(own, 1)]))
    with pytest.raises(ValueError, match="every member needs an input"):
        run_kernel("grouped_reduce", [x], [spec, spec], join_members(REDUCE, [(own, 1), (own, 0)]))
    wrong = ArraySpec("float32", (3, 4))
    with pytest.raises(ValueError, match="grouped_reduce: output 0 must have size 1"):
        run_kernel(
            "grouped_reduce", [x, x], [spec, wrong], join_members(REDUCE, [(own, 1), (own, 1)])
        )
