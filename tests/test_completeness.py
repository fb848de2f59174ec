"""Nothing is half there: ops, contracts, kernels and instructions all have what they need."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.gpu_cases import CASES

from tinygrad_mnist import _native
from tinygrad_mnist import ops as _ops  # fills the registry
from tinygrad_mnist.autodiff import map_rows
from tinygrad_mnist.backends import BACKENDS
from tinygrad_mnist.contracts import CONTRACTS, ArraySpec, Contract
from tinygrad_mnist.contracts.core.tape import OPCODES
from tinygrad_mnist.graph.op import OPS
from tinygrad_mnist.rewrite.algebra import ALGEBRA
from tinygrad_mnist.rewrite.cross_entropy import CROSS_ENTROPY
from tinygrad_mnist.rewrite.simplify import SIMPLIFY
from tinygrad_mnist.rewrite.sparse import SPARSE

STEPS = "a step function: its slope is 0 wherever it has one"
TRUTH = "its result is a bool"
BITS = "it has integers alone"
SHAPE = "it depends on shapes and integers alone"
STATIC = "made by specialising, after gradients are taken"
FUSED = "made by rewriting, after gradients are taken"
NO_GRADIENT = {
    **dict.fromkeys(("int_div", "sgn", "floor", "ceil", "trunc"), STEPS),
    **dict.fromkeys(("argmax", "argmin", "argsort"), STEPS),
    **dict.fromkeys(("round_half_to_even", "round_half_away_from_zero"), STEPS),
    **dict.fromkeys(("eq", "neq", "lt", "le", "gt", "ge", "all", "any"), TRUTH),
    **dict.fromkeys(("isnan", "isinf", "logical_and", "logical_or", "logical_not"), TRUTH),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"), BITS),
    **dict.fromkeys(("shape", "arange"), SHAPE),
    "largest": "what is computed with it doesn't depend on it",
    "tri_gamma": "its derivative is not among the functions",
    "stop_gradient": "it is there to stop gradients",
    "zero_grad": "it is there to give the gradient zero",
    "uniform": "a draw depends on no float",
    "lazy_gradient": "it becomes a gradient, whose own gradient is taken, when a function runs",
    **dict.fromkeys(("nonzero", "mask_indices", "repeated_indices"), BITS),
    "unique": "elements that are equal could part",
    **dict.fromkeys(
        (
            "static_reshape",
            "static_broadcast",
            "static_slice",
            "static_uniform",
            "windows",
            "assemble",
            "gather",
            "scatter_add",
            "scatter_set",
            "conv2d_grad_input",
            "conv2d_grad_filter",
            "pool2d_grad",
            "average_pool2d_grad",
        ),
        STATIC,
    ),
    **dict.fromkeys(
        (
            "elementwise",
            "reduce",
            "gemm",
            "check_range",
            "integer_gemm",
            "conv2d_pool",
            "conv2d_bias_pool",
            "conv2d_pool_grad_input",
            "conv2d_pool_grad_filter",
            "batch_norm",
            "batch_norm_grad",
            "softmax_xent",
            "softmax_xent_grad",
            "softmax_layer",
        ),
        FUSED,
    ),
}


def test_the_registry_is_filled() -> None:
    assert len(OPS) > 50
    assert all(hasattr(_ops, family) for family in _ops.__all__)
    assert OPS["map_rows"] is map_rows.MAP_ROWS


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_op_has_a_value(name: str) -> None:
    op = OPS[name]
    assert op.name == name
    assert op.reference or op.specialise or op.host or op.lazy


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_op_has_a_gradient_or_a_reason_for_none(name: str) -> None:
    assert OPS[name].is_differentiable == (name not in NO_GRADIENT)


def test_no_reason_without_an_op() -> None:
    assert set(NO_GRADIENT) <= set(OPS)


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_op_has_one_way_to_a_kernel(name: str) -> None:
    """A static op is a view, lowers to others, is a tape instruction, or has a kernel."""
    op = OPS[name]
    symbolic = op.reference is None or name in ("shape", "assemble")
    ways = [op.view, op.lower, op.tape_op, op.contract]
    assert sum(way is not None for way in ways) == (0 if symbolic else 1), ways
    if op.tape_op is not None:
        assert op.tape_op == "identity" or op.tape_op in OPCODES
    if op.contract is not None:
        assert op.contract in CONTRACTS


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_backend_has_the_base_vocabulary(backend: str) -> None:
    base = {name for name, contract in CONTRACTS.items() if contract.base}
    assert base <= BACKENDS[backend].kernels


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_backend_has_no_kernel_without_a_contract(backend: str) -> None:
    assert BACKENDS[backend].kernels <= set(CONTRACTS)


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_a_contract_has_a_native_kernel(name: str) -> None:
    """But for those that save nothing but launches."""
    assert (name in _native.kernels()) != CONTRACTS[name].gpu_only
    assert CONTRACTS[name].name == name


@pytest.mark.parametrize("name", sorted(OPCODES))
def test_an_instruction_is_known_natively(name: str) -> None:
    assert name in _native.opcodes()


def test_native_instructions_are_all_described() -> None:
    assert set(_native.opcodes()) == set(OPCODES)


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_inputs_that_are_used_as_addresses_are_declared(name: str) -> None:
    """An integer far out of range is an IndexError of the reference just where the contract says
    that the input is an index."""
    contract = CONTRACTS[name]
    n_indices = 0
    for case in [case for case in CASES if case.kernel == name and "sim" in case.modes]:
        arrays, outputs, params = case.problem()
        specs = [ArraySpec(str(o.dtype), tuple(o.shape)) for o in outputs]
        if contract.checks or 0 in (*(a.size for a in arrays), *(s.size for s in specs)):
            continue
        indices = contract.index_inputs(params, len(arrays))
        n_indices += len(indices)
        for number, array in enumerate(arrays):
            if array.dtype.kind not in "iu":
                continue
            wrong = [np.array(a) for a in arrays]
            wrong[number].fill(np.iinfo(array.dtype).max)
            with pytest.raises(IndexError) if number in indices else np.errstate(all="ignore"):
                contract.reference(params, wrong, specs)
    assert (n_indices > 0) == (contract.indices is not None)


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_op_checks_just_what_its_kernel_uses_as_indices(name: str) -> None:
    """Planning compares the numbers of the inputs; here, that neither is without the other."""
    op = OPS[name]
    if op.view is not None:  # it has a condition in place of an index
        assert (op.checks is not None) == (name == "require")
        return
    is_indexed = op.contract is not None and CONTRACTS[op.contract].indices is not None
    assert (op.checks is not None) == is_indexed


@pytest.mark.parametrize(
    "facts",
    [
        {"tapes": ("afterwards",)},
        {"tapes": ("epilogue",)},
        {"kernel_inputs": 1},
        {"tapes": ("tape",), "touched": 1},
        {"member": CONTRACTS["gather"]},
        {"gpu_only": True},
    ],
    ids=["tapes", "epilogue", "kernel_inputs", "touched", "member", "gpu_only"],
)
def test_facts_that_contradict_each_other(facts: dict[str, Any]) -> None:
    reduce = CONTRACTS["reduce"]
    with pytest.raises(ValueError, match="new:"):
        Contract("new", reduce.reference, reduce.flops, **facts)


def test_a_kernel_has_a_test_on_any_operands() -> None:
    """One that is marked as covering it: tests/kernels/conftest.py checks what that means."""
    covered: set[str] = set()
    for path in sorted((Path(__file__).parent / "kernels").rglob("test_*.py")):
        spec = spec_from_file_location(f"covers_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        for value in vars(module).values():
            marks = getattr(value, "pytestmark", ()) if callable(value) else ()
            covered.update(*(mark.args for mark in marks if mark.name == "covers"))
    assert covered == set(_native.kernels())


def test_rules_have_different_names_and_known_ops() -> None:
    rules = [*SIMPLIFY, *ALGEBRA, *CROSS_ENTROPY, *SPARSE]
    assert len({rule.name for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule.ops) <= set(OPS), rule.name
        assert rule.apply.__doc__, rule.name
