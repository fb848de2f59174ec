"""Forward convolutions cut in ways that are chosen for large ones only, at sizes of a simulator."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from helpers.convolutions import Case
from helpers.epilogues import epilogue
from helpers.gpu import BACKEND, MODE
from helpers.gpu_cases.conv2d import black_border, constant
from helpers.native import expect

from tinygrad_mnist.backends.cuda.simulator import enable_simulator
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import CONTRACTS

# Each convolution is another one, for kernels are kept by what they compute. A tiling: filters and
# windows of a thread; tiles, images and groups of filters of a block; splits; channels at a time.
TILINGS = [
    # two windows side by side, two groups, one image less than a block has
    (Case(3, 3, (9, 13), 7, (3, 3), pool=(2, 2)), (2, (1, 2), (3, 3), 2, 2, 1, 2)),
    # four filters by vectors, windows above each other; an image's rows cut in two
    (Case(1, 2, (14, 8), 9, (3, 2), flip=1, pool=(2, 2)), (4, (2, 1), (2, 3), 1, 1, 1, 2)),
    # all of an image copied as it lies, channels one at a time
    (Case(2, 4, (8, 8), 8, (3, 3), pool=(2, 2)), (8, (1, 1), (3, 3), 2, 1, 1, 1)),
    # a thread's windows in two directions, with two threads to a sum
    (Case(1, 4, (9, 9), 6, (2, 2), pool=(2, 2)), (2, (2, 2), (2, 2), 1, 3, 2, 2)),
    (
        Case(2, 4, (10, 9), 5, (3, 2), stride=(2, 1), padding=(1, 1)),
        (5, (2, 2), (3, 5), 1, 1, 4, 4),
    ),
    # positions without a pool; columns cut
    (Case(1, 2, (5, 21), 3, (2, 2), padding=(1, 0)), (4, (4, 2), (2, 5), 1, 1, 1, 1)),
    # a long filter, whose taps are a loop
    (Case(1, 1, (4, 40), 4, (2, 24), flip=1), (4, (2, 2), (2, 9), 1, 1, 1, 1)),
    (Case(2, 3, (8, 11), 3, (3, 3), pool=(3, 3), dtype="float64"), (2, (1, 1), (2, 3), 2, 2, 3, 3)),
    (Case(1, 3, (6, 9), 4, (3, 3), dtype="float64"), (4, (2, 2), (2, 4), 1, 1, 1, 2)),
]


def choose(monkeypatch: pytest.MonkeyPatch, tiling: tuple[Any, ...]) -> None:
    """All forward convolutions have this tiling."""
    if MODE == "sim":
        enable_simulator()
    kind = import_module("tinygrad_mnist.kernels.conv2d.tiling").Tiling
    monkeypatch.setattr(
        "tinygrad_mnist.kernels.conv2d.conv2d.choose", lambda conv: kind(conv, *tiling)
    )


def run(monkeypatch: pytest.MonkeyPatch, case: Case, tiling: tuple[Any, ...], inputs: Any) -> Any:
    """The call's outputs with this tiling, and those of the reference."""
    choose(monkeypatch, tiling)
    name = "conv2d_pool" if case.pool else "conv2d"
    rng = np.random.default_rng(3)
    tail = epilogue("two_extras", rng, case.y.shape, case.dtype, bias_axis=1, whole=True)
    outputs = [case.y, case.winners] if case.pool else [case.y]
    operands, params = [*inputs, *tail.extras], case.params(tail.tape)
    call = OneCall(name, operands, outputs, params)
    return call.run(BACKEND), expect(name, operands, outputs, params)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("values", [constant, black_border])
def test_ties(values: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions whose patches are equal tie, though their sums have been rounded."""
    case, tiling = Case(2, 4, (10, 9), 3, (2, 2), pool=(2, 2)), (2, (2, 1), (2, 4), 1, 2, 2, 2)
    inputs = values(np.random.default_rng(2), case)
    (_, winners), (_, exact) = run(monkeypatch, case, tiling, inputs)
    np.testing.assert_array_equal(winners, exact)
    assert (winners == 15).any()


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize(
    ("case", "tiling"), TILINGS, ids=lambda v: "" if isinstance(v, tuple) else None
)
def test_values(case: Case, tiling: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    inputs = [case.operand(rng, spec, False, True) for spec in (case.x, case.w)]
    results, exact = run(monkeypatch, case, tiling, inputs)
    for result, wanted in zip(results, exact, strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize(
    ("case", "tiling"),
    [(c, t) for c, t in TILINGS if c.pool],
    ids=lambda v: "" if isinstance(v, tuple) else None,
)
def test_a_bias_that_rounds(
    case: Case, tiling: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sums are small integers, exact in any order; with the bias they are rounded to multiples
    of 4, so positions tie that differ without it."""
    choose(monkeypatch, tiling)
    rng = np.random.default_rng(4)
    large = {"float32": 2.0**25, "float64": 2.0**54}[case.dtype]
    x, w = (case.operand(rng, spec, False, True) for spec in (case.x, case.w))
    bias = (large * rng.choice([-1, 1], case.o)).astype(case.dtype)
    outputs = [case.y, case.winners]
    call = OneCall("conv2d_bias_pool", [x, w, bias], outputs, case.params())
    wanted = CONTRACTS["conv2d_bias_pool"].reference(case.params(), [x, w, bias], outputs)
    for result, exact in zip(call.run(BACKEND), wanted, strict=True):
        np.testing.assert_array_equal(result, exact)
    unbiased = CONTRACTS["conv2d_pool"].reference(case.params(), [x, w], outputs)[1]
    assert (wanted[1] != unbiased).any()
