"""A kernel that is registered from outside needs no other edit: planned, fused, costed, guarded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.take_scaled import NAME, registered, take_scaled

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends import BACKENDS
from tinygrad_mnist.backends.cuda.design import Design, design_plan
from tinygrad_mnist.compile.pipeline import compile_plan
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.contracts import CONTRACTS, Array, ArraySpec, Contract, Params
from tinygrad_mnist.contracts.core.base import register
from tinygrad_mnist.contracts.core.epilogue import apply_epilogue
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.errors import IndexOutOfRangeError, MissingKernelError
from tinygrad_mnist.graph.op import OPS, Op
from tinygrad_mnist.ops.kernels import define_kernel

N, M, K = 30, 40, 7
CPU = BACKENDS["cpu"].kernels


@pytest.fixture(autouse=True)
def _take_scaled_is_registered() -> Iterator[None]:
    with registered():
        yield
    assert NAME not in CONTRACTS
    assert NAME not in OPS


def plan_for_cpu(kernels: frozenset[str] = CPU | {NAME}) -> Plan:
    """That of tanh(3 x[index] + b) * 2, as the planner makes it for these kernels."""
    x, index, b = T.dmatrix("x"), T.lvector("i"), T.dvector("b")
    result = T.tanh(take_scaled(x, index, 3) + b) * 2
    shapes = {x: (N, M), index: (K,), b: (M,)}
    return compile_plan([result], {}, shapes, {}, "cpu", kernels, fuse=True).plan


def designs(plan: Plan) -> dict[str, Design]:
    return {d.design.kernel: d.design for d in design_plan(plan, (9, 0))}


def test_what_follows_becomes_its_epilogue() -> None:
    check, call = plan_for_cpu().calls
    assert (check.kernel, call.kernel) == ("check_range", NAME)
    assert check.params == {"low": -N, "high": N}
    assert [i.op for i in call.params["epilogue"].instructions if i.op != "const"] == [
        "add",
        "tanh",
        "mul",
    ]
    assert [v.spec.shape for v in call.inputs] == [(N, M), (K,), (K, M)]
    assert [v.true_shape for v in call.inputs] == [(N, M), (K,), (1, M)]


def test_its_costs_are_in_the_listing() -> None:
    plan = plan_for_cpu()
    call = plan.calls[1]
    assert call.flops == call.least_flops == 4 * K * M
    assert call.nbytes == 8 * (K * M + K + M + K * M)  # the rows that are picked, no others
    lines = str(plan).splitlines()
    (first,) = [n for n, line in enumerate(lines) if f"{NAME}(" in line]
    words = " ".join(lines[first : first + 2]).split()
    assert words[1:] == [
        *("1.12", "k", "4.86", "k", "out0:7x40", "=", "take_scaled(x:30x40,", "i:7", "int64,"),
        *("b:1x40)", "epilogue:", "tanh(i0", "+", "i1)", "*", "2"),
    ]


def test_it_is_guarded_on_a_gpu() -> None:
    design = designs(plan_for_cpu())[NAME]
    assert design.guarded
    assert design.note == 0
    assert design.params == (("scale", 3),)
    assert "def finish0(value, i, p):" in design.source
    assert designs(plan_for_cpu())["check_range"].note == 1


def test_a_backend_without_it_is_refused() -> None:
    with pytest.raises(MissingKernelError, match=f"no kernel '{NAME}'"):
        plan_for_cpu(CPU)


@pytest.mark.parametrize("checks", [None, lambda node: [(0, 0, 1)], lambda node: [(2, 0, 1)]])
def test_an_index_that_the_op_does_not_check_is_refused(
    checks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = OPS[NAME]
    wrong = Op(NAME, old.infer, old.reference, contract=NAME, checks=checks)
    monkeypatch.setitem(OPS, NAME, wrong)
    with pytest.raises(ValueError, match=f"{NAME} has to check .* indices, \\[1\\]"):
        plan_for_cpu()


@pytest.mark.parametrize("device", ["reference", "fused"])
def test_it_runs(device: str) -> None:
    rng = np.random.default_rng(0)
    x, b = T.dmatrix("x"), T.dvector("b")
    index = T.ivector("index")
    w = theano.shared(rng.normal(size=(3, 4)), "w")
    before, data, bias = w.get_value(), rng.normal(size=(5, 4)), rng.normal(size=4)
    with making_functions_for(device):
        taken = take_scaled(x, index, 2)
        step = theano.function([x, index, b], T.exp(taken - b), updates=[(w, w - 0.5 * taken)])

    def run(rows: Sequence[int]) -> Any:
        return step(data, np.array(rows, np.int32), bias)

    np.testing.assert_allclose(run([4, 0, -5]), np.exp(2 * data[[4, 0, 0]] - bias))
    np.testing.assert_allclose(w.get_value(), before - data[[4, 0, 0]])
    before = w.get_value()
    with pytest.raises(IndexOutOfRangeError, match=r"the index index .* between -5 and 4"):
        run([1, 5, 0])
    np.testing.assert_array_equal(w.get_value(), before)


def test_an_output_is_written_over_operands_of_its_own_tape_alone() -> None:
    """An epilogue reads an element before its own output is written there, not before another."""

    def halves(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        x, *extras = inputs
        return [apply_epilogue(params, x / 2, extras, outputs[0]), x - x / 2]

    name = "halves"
    register(Contract(name, halves, lambda *_: 0, tapes=("epilogue",), kernel_inputs=1, base=False))
    try:
        op = define_kernel(name, lambda params, types: [types[0], types[0]])
        x, w = T.dmatrix("x"), theano.shared(np.zeros((3, 4)), "w")
        first, second = op.node(x, epilogue=Tape.identity("float64")).outputs
        kernels = []
        for update, other in [(w - first, second), (second, w - first)]:
            shapes = {x: (3, 4), w: (3, 4)}
            made = compile_plan([other], {w: update}, shapes, {}, "cpu", CPU | {name}, fuse=True)
            (call, *copies) = made.plan.calls
            assert len(call.inputs) == 2  # with the operand of its epilogue
            kernels.append([call.kernel, *(copy.kernel for copy in copies)])
        assert kernels == [[name], [name, "elementwise"]]
    finally:
        del CONTRACTS[name], OPS[name]
