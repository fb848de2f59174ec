"""What reductions promise beyond being near."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from helpers.gpu import BACKEND
from helpers.gpu_cases.reduce import MIXED, group, kept, params_of, values

from tinygrad_mnist.backends.cuda.operands import MAX_REACH
from tinygrad_mnist.backends.cuda.simulator import enable_simulator
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.contracts.reduce.reduce import SUM


@pytest.mark.sim
@pytest.mark.gpu
def test_a_group_has_the_bits_of_its_members() -> None:
    inputs, outputs, params = group(*MIXED)(np.random.default_rng(3))
    together = OneCall("grouped_reduce", inputs, outputs, params).run(BACKEND)
    begin = 0
    for k, result in enumerate(together):
        end = begin + params["n_inputs"][k]
        names = ("op", "axes_mask", "n_prologue", "prologue", "epilogue")
        own = {name: params[name][k] for name in names}
        (alone,) = OneCall("reduce", inputs[begin:end], [outputs[k]], own).run(BACKEND)
        np.testing.assert_array_equal(result, alone)
        begin = end


@pytest.mark.sim
@pytest.mark.gpu
def test_more_terms_than_numbers_reach_are_refused() -> None:
    x = np.broadcast_to(np.ones(1, "float32"), (1 << 16, 1 << 16))
    identity = Tape.identity("float32")
    call = OneCall(
        "reduce",
        [x],
        [ArraySpec("float32", (1 << 16, 1))],
        params_of(SUM, (1,), identity, identity),
    )
    with pytest.raises(ValueError, match="65536 x 65536 reaches over 4,294,967,296 elements"):
        call.run(BACKEND)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_of_no_elements_there_is_no_greatest(name: str) -> None:
    call = OneCall(name, [np.zeros((3, 0), "float32")], [ArraySpec("int64", (3, 1))], {"axis": 1})
    with pytest.raises(ValueError, match=f"{name}: axis 1 has no elements"):
        call.run(BACKEND)


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_sums_lose_two_roundings_at_most(dtype: str) -> None:
    """All positive terms, so that the error is that of the additions; a naive sum loses more."""
    shape = (10_000_019, 1) if BACKEND == "cuda" else (2101, 2)
    x = values(np.random.default_rng(0), shape, SUM, dtype)
    identity = Tape.identity(dtype)
    spec = ArraySpec(dtype, kept(shape, (0,)))
    (result,) = OneCall("reduce", [x], [spec], params_of(SUM, (0,), identity, identity)).run(
        BACKEND
    )
    exact = x.astype(np.longdouble).sum(axis=0, keepdims=True)
    assert np.all(np.abs(result - exact) <= 2 * np.finfo(dtype).eps * exact)


@pytest.mark.sim
@pytest.mark.parametrize("rows", [False, True])
def test_parts_cover_all_terms_once(rows: bool) -> None:
    enable_simulator()
    lanes = import_module("tinygrad_mnist.kernels.core.lanes")
    for results in (0, 1, 2, 7, 100, 3000, 10**6):
        for length in (0, 1, 8, 9, 127, 2048, 2049, 16_384, 16_385, 10**6):
            if results * length > MAX_REACH:
                continue
            cut = lanes.split(results, length, rows)
            size = lanes.threads(cut)
            assert size % cut.lanes == 0
            assert size <= lanes.THREADS
            if cut.parts == 1:
                assert cut.chunk == length
                continue
            assert cut.chunk % (cut.lanes * lanes.ROUND) == 0
            assert (cut.parts - 1) * cut.chunk < length <= cut.parts * cut.chunk
            again = lanes.split(results, cut.parts, rows=False)
            assert again.parts == 1  # a second launch is the last
