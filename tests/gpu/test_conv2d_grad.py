"""Gradients of convolutions: all ways to cut them, and what reaches them behind a pool."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from helpers.convolutions import Case as Convolution
from helpers.gpu import BACKEND
from helpers.gpu_cases.conv2d_grad import WHICH, kernel_name, problem
from helpers.native import assert_near, expect

from tinygrad_mnist import backends
from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_reach_what_they_should(bad, which):
    conv = Convolution(2, 1, (6, 7), 2, (3, 3), pool=(2, 2))
    rng = np.random.default_rng(8)
    inputs, outputs, params = problem(conv, which, "identity", False, False, rng)
    inputs[1][...] = 0
    inputs[1][0, 1, 1, 1] = bad
    inputs[2][0, 1, 1, 1] = 0b0010
    [result] = OneCall(kernel_name(conv, which), inputs, outputs, params).run(BACKEND)
    hit = np.zeros(result.shape, bool)
    if which == "filter":
        hit[1] = True
    else:
        hit[0, :, 2:5, 3:6] = True  # the patch of position (2, 3)
    assert not np.isfinite(result[hit]).any()
    np.testing.assert_array_equal(result[~hit], 0)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("other", [np.nan, np.inf])
def test_a_zero_gradient_adds_nothing(other, which):
    conv = Convolution(2, 2, (6, 5), 3, (2, 2), pool=(2, 2))
    rng = np.random.default_rng(9)
    inputs, outputs, params = problem(conv, which, "identity", False, False, rng)
    inputs[1][...] = 0
    inputs[0][...] = 1
    if which == "filter":
        inputs[1][0, 1, 1, 0] = 2
        inputs[0][1] = other
    else:
        inputs[1][1, 1, 1, 0] = 2
        inputs[0][0] = inputs[0][2] = other
    inputs[2][...] = 0b0101
    [result] = OneCall(kernel_name(conv, which), inputs, outputs, params).run(BACKEND)
    wanted = np.zeros(result.shape)
    if which == "filter":
        wanted[1] = 4  # two winners
    else:
        wanted[1, :, 2, 0:2] += 2
        wanted[1, :, 3, 0:2] += 4
        wanted[1, :, 4, 0:2] += 2
    np.testing.assert_array_equal(result, wanted)


def scaled(factor: int, dtype: str) -> Tape:
    """factor * result."""
    code = (Instruction("const", (), factor), Instruction("mul", (0, 1)))
    return Tape(dtype, 1, code, (2,))


def kernels(*names):
    """Modules of kernels/, imported after the choice whether the simulator runs them."""
    backends.backend(BACKEND).arena()
    return [import_module(f"tinygrad_mnist.kernels.conv2d.{name}") for name in names]


def check_cut(conv, which, choice):
    """Compares a call with an epilogue of its own, so that no earlier kernel serves it."""
    rng = np.random.default_rng(choice)
    inputs, outputs, params = problem(conv, which, "identity", False, False, rng)
    params["epilogue"] = scaled(choice + 1, conv.dtype)
    name = kernel_name(conv, which)
    [result] = OneCall(name, inputs, outputs, params).run(BACKEND)
    assert_near(result, expect(name, inputs, [ArraySpec(conv.dtype, result.shape)], params)[0])


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("choice", range(3))
@pytest.mark.parametrize("pool", [None, (2, 2)])
def test_any_cut_of_the_filter_gradient(choice, pool, monkeypatch):
    conv2d_grad_filter, filter_tiles = kernels("conv2d_grad_filter", "filter_tiles")

    def choose(sizes):
        found = [c for c in filter_tiles.candidates(sizes) if c.threads * c.tiles <= 80]
        many = [c for c in found if c.ranges > 1 or c.bands > 1 or c.split > c.units]
        return many[choice * (len(many) - 1) // 2]

    monkeypatch.setattr(conv2d_grad_filter, "filter_tiles", choose)
    conv = Convolution(3, 3, (7, 9), 5, (2, 3), stride=(1, 2), padding=(1, 1), pool=pool)
    check_cut(conv, "filter", choice)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("choice", range(3))
@pytest.mark.parametrize("pool", [None, (2, 2)])
def test_any_cut_of_the_input_gradient(choice, pool, monkeypatch):
    conv2d_grad_input, input_tiles = kernels("conv2d_grad_input", "input_tiles")

    def choose(sizes):
        found = [c for c in input_tiles.candidates(sizes) if c.threads <= 60]
        many = [c for c in found if c.bands > 1 and (c.steps > 1 or c.split > 1)]
        return many[choice * (len(many) - 1) // 2]

    monkeypatch.setattr(conv2d_grad_input, "input_tiles", choose)
    image = (10, 6) if choice else (9, 18)
    conv = Convolution(2, 3, image, 5, (2, 3), stride=(1, 2), padding=(1, 1), pool=pool)
    check_cut(conv, "input", choice)


@pytest.mark.gpu
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("n", [10, 1000])
def test_same_bits_every_time(n, which):
    conv = Convolution(n, 20, (12, 12), 40, (5, 5), pool=(2, 2))
    call = problem(conv, which, "identity", False, False, np.random.default_rng(3))
    results = [OneCall(kernel_name(conv, which), *call).run("cuda")[0] for _ in range(3)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.compile
@pytest.mark.parametrize(("n", "quads"), [(10, 5), (100, 4)])
def test_rows_of_g_are_spaced_where_there_is_room(n, quads, monkeypatch):
    """Rows of 16 elements, an odd number of quads apart. The cut is the same; with 100 images the
    block has no room left."""
    from tinygrad_mnist.backends.cuda.make import make

    conv2d_grad_input = import_module("tinygrad_mnist.kernels.conv2d.conv2d_grad_input")
    input_tiles = import_module("tinygrad_mnist.kernels.conv2d.input_tiles")
    met = []
    monkeypatch.setattr(conv2d_grad_input, "input_tiles", lambda s: met.append(s))  # no tiles
    conv = Convolution(n, 20, (12, 12), 40, (5, 5), pool=(2, 2))
    call = problem(conv, "input", "identity", False, False, np.random.default_rng(0))
    [designed] = design_plan(OneCall(kernel_name(conv, "input"), *call).plan, (9, 0))
    make(designed.design)
    tiles = input_tiles.input_tiles(met[0])
    assert tiles.pitch == 4 * quads
    assert tiles._replace(pitch=16) in list(input_tiles.candidates(met[0]))
    assert tiles.shared * 4 <= 48 << 10


@pytest.mark.compile
def test_large_blocks_can_be_launched() -> None:
    """With 448 threads of 146 registers, which this one would have, the driver refuses it."""
    from helpers.gpu_code import machine_code

    conv = Convolution(64, 16, (28, 28), 20, (7, 7), pool=(2, 2), dtype="float64")
    rng = np.random.default_rng(0)
    call = OneCall(
        kernel_name(conv, "input"), *problem(conv, "input", "bias_relu", False, False, rng)
    )
    designs = [designed.design for designed in design_plan(call.plan, (9, 0))]
    for _, _, code in machine_code(designs, [(9, 0)]):  # it looks at what a block takes
        assert code.compiled.registers <= 144
