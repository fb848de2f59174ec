"""elementwise: tapes over operands of any dtype and layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.arrays import DTYPES, fill, operand, seeds, shapes, strided
from helpers.native import TARGETS, assert_near, binary, expect, run_kernel, unary
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist import _native
from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import CONTRACTS, ArraySpec
from tinygrad_mnist.contracts.core import philox
from tinygrad_mnist.contracts.core.tape import OPCODES, Instruction, Tape

TAPE_DTYPES = ["float32", "float64", "int64"]
FLOAT_OPS = [
    name
    for name, op in OPCODES.items()
    if "float32" in op.dtypes and name not in ("const", "uniform")
]
FUNCTIONS = ("pow", "sin", "tan", "arcsin", "arctan2", "arcsinh", "log2", "expm1", "cosh", "erfc")
NUMBERS = [name for name in OPCODES if name not in ("const", "uniform")]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.0, 1e-40, -1e-40, 1e30, -1e30, 88.8, -104.5]


def test_opcodes_are_the_contracts() -> None:
    assert _native.opcodes() == list(OPCODES)


def positive_where_needed(op: str, arrays: list[Any]) -> list[Any]:
    """Keeps operands inside the operation's domain; the edges have tests of their own."""
    if op in ("log", "log1p", "sqrt", "pow"):
        arrays[0] = np.abs(arrays[0])
    return arrays


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("op", NUMBERS)
@settings(max_examples=15)
@given(shape=shapes(), seed=seeds)
def test_operation(op: str, target: str, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    record = OPCODES[op]
    dtype = str(rng.choice(record.dtypes))
    arrays = [operand(rng, shape, dtype) for _ in range(record.arity)]
    arrays = positive_where_needed(op, arrays)
    tape = Tape(
        dtype, record.arity, (Instruction(op, tuple(range(record.arity))),), (record.arity,)
    )
    spec = ArraySpec(dtype, shape)
    (result,) = run_kernel("elementwise", arrays, [spec], {"tape": tape}, target)
    (exact,) = expect("elementwise", arrays, [spec], {"tape": tape})
    if op in ("int_div", "mod"):  # the rounding of a quotient decides them
        exact = CONTRACTS["elementwise"].reference({"tape": tape}, arrays, [spec])[0]
    assert_near(result, exact)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", FLOAT_OPS)
def test_special_values(op: str, dtype: str, target: str) -> None:
    record = OPCODES[op]
    values = np.array([*SPECIAL, np.inf, -np.inf, np.nan], dtype)
    grids = [g.ravel() for g in np.meshgrid(*[values] * record.arity)]
    tape = Tape(
        dtype, record.arity, (Instruction(op, tuple(range(record.arity))),), (record.arity,)
    )
    spec = ArraySpec(dtype, grids[0].shape)
    (result,) = run_kernel("elementwise", grids, [spec], {"tape": tape}, target)
    (exact,) = CONTRACTS["elementwise"].reference({"tape": tape}, grids, [spec])
    np.testing.assert_allclose(result, exact, rtol=8 * np.finfo(dtype).eps, atol=0)
    # Signs of zeros too; which zero maximum and minimum return is open, and the sign of a sum.
    if op not in ("maximum", "minimum"):
        number = ~np.isnan(exact)
        np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(exact[number]))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "op", ["add", "sub", "mul", "neg", "abs", "sqr", "int_div", "mod", "pow", "bit_not", "bit_xor"]
)
def test_integers_wrap(op: str, target: str) -> None:
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    values = np.array([least, least + 1, -7, -2, -1, 0, 1, 2, 7, most - 1, most])
    arity = OPCODES[op].arity
    grids = [g.ravel() for g in np.meshgrid(*[values] * arity)]
    tape = unary(op, "int64") if arity == 1 else binary(op, "int64")
    spec = ArraySpec("int64", grids[0].shape)
    (result,) = run_kernel("elementwise", grids, [spec], {"tape": tape}, target)
    (exact,) = expect("elementwise", grids, [spec], {"tape": tape})
    np.testing.assert_array_equal(result, exact)


@pytest.mark.covers("elementwise", dtypes=DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@given(
    source=st.sampled_from(DTYPES),
    middle=st.sampled_from(TAPE_DTYPES),
    to=st.sampled_from(DTYPES),
    shape=shapes(),
    seed=seeds,
)
def test_conversion(
    target: str, source: str, middle: str, to: str, shape: tuple[int, ...], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = operand(rng, shape, source)
    tape = Tape.identity(middle)
    view = strided(rng, poisoned(ArraySpec(to, shape)))
    (result,) = run_kernel("elementwise", [x], [view], {"tape": tape}, target)
    value = x.astype(middle)
    if to == "bool":
        value = value != 0
    elif np.dtype(to).kind in "iu":
        value = value.astype(np.int64)
    np.testing.assert_array_equal(result, value.astype(to))


def random_tape(rng: np.random.Generator, dtype: str) -> Tape:
    """A few operations that stay finite, with several outputs."""
    n_inputs = int(rng.integers(1, 5))
    code: list[Instruction] = []
    ops = ["const", "neg", "abs", "add", "sub", "mul", "maximum", "minimum", "lt", "switch"]
    if dtype != "int64":
        ops += ["tanh", "sigmoid", "floor"]
    for number in range(n_inputs, n_inputs + int(rng.integers(1, 12))):
        op = str(rng.choice(ops))
        args = tuple(int(a) for a in rng.integers(0, number, OPCODES[op].arity))
        code.append(Instruction(op, args, immediate=int(rng.integers(-3, 4))))
    n_values = n_inputs + len(code)
    outputs = tuple(int(v) for v in rng.integers(0, n_values, int(rng.integers(1, 4))))
    return Tape(dtype, n_inputs, tuple(code), outputs)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60)
@given(dtype=st.sampled_from(TAPE_DTYPES), shape=shapes(), seed=seeds)
def test_random_tape(target: str, dtype: str, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    tape = random_tape(rng, dtype)
    arrays = [operand(rng, shape, dtype) for _ in range(tape.n_inputs)]
    specs = [ArraySpec(dtype, shape) for _ in tape.outputs]
    views = [strided(rng, poisoned(spec)) for spec in specs]
    results = run_kernel("elementwise", arrays, views, {"tape": tape}, target)
    # In the tape's own dtype: a comparison or floor may depend on the last bit.
    exact = CONTRACTS["elementwise"].reference({"tape": tape}, arrays, specs)
    for result, wanted in zip(results, exact, strict=True):
        smooth = {"lt", "floor", "switch"}.isdisjoint(i.op for i in tape.instructions)
        if smooth or dtype == "int64":
            assert_near(result, wanted, 1e-4 if dtype == "float32" else 1e-12)
        else:
            far = np.abs(result - wanted) > 1e-3 * (1 + np.abs(wanted))
            assert far.mean() <= 0.05


@pytest.mark.parametrize("target", TARGETS)
@given(shape=shapes(), seed=seeds)
def test_outputs_may_alias_inputs(target: str, shape: tuple[int, ...], seed: int) -> None:
    """Each output lies in an input that other outputs still read."""
    rng = np.random.default_rng(seed)
    arrays = [strided(rng, fill(rng, shape, "float32")) for _ in range(2)]
    code = (Instruction("add", (0, 1)), Instruction("mul", (2, 0)))
    for outputs in [(2, 3), (1, 0), (3, 0)]:
        tape = Tape("float32", 2, code, outputs)
        specs = [ArraySpec("float32", shape)] * 2
        exact = CONTRACTS["elementwise"].reference({"tape": tape}, arrays, specs)
        exact = [x.copy() for x in exact]
        run_kernel("elementwise", arrays, arrays, {"tape": tape}, target)
        np.testing.assert_array_equal(arrays, exact)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(shape=shapes(), seed=seeds, step=st.integers(0, 2**63 - 1))
def test_uniform(dtype: str, target: str, shape: tuple[int, ...], seed: int, step: int) -> None:
    """The same bits as NumPy, whatever the output's layout."""
    rng = np.random.default_rng(seed)
    key = int(rng.integers(0, 2**63))
    tape = Tape(dtype, 1, (Instruction("uniform", (0,), key=key),), (1,))
    count = np.array(step, np.int64)
    view = strided(rng, poisoned(ArraySpec(dtype, shape)))
    (result,) = run_kernel("elementwise", [count], [view], {"tape": tape}, target)
    index = np.arange(result.size).reshape(shape)
    np.testing.assert_array_equal(result, philox.uniform(dtype, index, step, key))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", TAPE_DTYPES)
def test_same_bits_for_any_number_of_threads(dtype: str, target: str) -> None:
    """Contiguous, transposed and reversed operands that are cut into many chunks."""
    rng = np.random.default_rng(2)
    op = "sqr" if dtype == "int64" else "tanh"
    code = (Instruction(op, (0,)), Instruction("sub", (2, 1)), Instruction("mul", (3, 0)))
    tape = Tape(dtype, 2, code, (4, 2))
    x, y = fill(rng, (301, 1003), dtype), fill(rng, (301, 1003), dtype)
    specs = [ArraySpec(dtype, x.shape)] * 2
    for arrays in (
        [x, y],
        [np.asfortranarray(x), y[::-1]],
        [x, np.broadcast_to(y[:, :1], y.shape)],
    ):
        first, *others = (
            run_kernel("elementwise", arrays, specs, {"tape": tape}, target, threads)
            for threads in (1, 2, 4)
        )
        exact = expect("elementwise", arrays, specs, {"tape": tape})
        for result, wanted in zip(first, exact, strict=True):
            assert_near(result, wanted)
        for other in others:
            np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("target", TARGETS)
def test_more_values_than_registers_of_one_size(target: str) -> None:
    """Blocks shrink where a tape keeps many values alive."""
    n = 200
    code = [Instruction("add", (0, 0))]
    code += [Instruction("add", (k, 0)) for k in range(1, n)]
    total = n
    for k in range(1, n):
        code.append(Instruction("add", (total, k)))
        total = len(code)
    tape = Tape("float64", 1, tuple(code), (total,))
    x = np.random.default_rng(0).normal(size=(3, 1001))
    spec = ArraySpec("float64", x.shape)
    (result,) = run_kernel("elementwise", [x], [spec], {"tape": tape}, target)
    (exact,) = expect("elementwise", [x], [spec], {"tape": tape})
    assert_near(result, exact)


def test_equal_elements_give_equal_bits() -> None:
    """The position of an element does not change its bits: not the lane, nor the end of a row."""
    for op in ("exp", "log", "sqrt", "round_away", "tanh", "sigmoid", "softplus", *FUNCTIONS):
        arity = OPCODES[op].arity
        x = np.full((7, 61), 0.7312, np.float32)
        tape = unary(op) if arity == 1 else binary(op)
        (y,) = run_kernel(
            "elementwise", [x] * arity, [ArraySpec("float32", x.shape)], {"tape": tape}
        )
        assert np.unique(y).size == 1


@pytest.mark.parametrize(
    ("arrays", "tape", "message"),
    [
        ([(3, 4)], binary("add"), "elementwise: the tape has 2 inputs"),
        ([(3, 4), (3, 1)], binary("add"), "elementwise: input 1 of the tape"),
        ([(3, 4)], Tape("int64", 1, (Instruction("exp", (0,)),), (1,)), "int64 tape has no exp"),
        ([(3, 4)], unary("bit_not"), "a tape of floats has no bit_not"),
        ([(3, 4)], Tape("float32", 1, (Instruction("neg", (1,)),), (1,)), "reads value 1"),
        ([(3, 4)], Tape("float32", 1, (), (2,)), "output value 2"),
    ],
)
def test_wrong_calls_are_refused(arrays: list[tuple[int, ...]], tape: Tape, message: str) -> None:
    inputs = [np.zeros(shape, np.float32) for shape in arrays]
    with pytest.raises(ValueError, match=message):
        run_kernel("elementwise", inputs, [ArraySpec("float32", (3, 4))], {"tape": tape})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bit_count_of_every_byte(dtype: str, target: str) -> None:
    """In a tape of floats, of bytes and of what isn't one."""
    tape = Tape(dtype, 1, (Instruction("bit_count", (0,)),), (1,))
    bytes_ = np.arange(256, dtype=np.uint8)
    (result,) = run_kernel(
        "elementwise", [bytes_], [ArraySpec(dtype, (256,))], {"tape": tape}, target
    )
    np.testing.assert_array_equal(result, [bin(n).count("1") for n in range(256)])
    others = np.array([np.nan, -np.inf, -1, 0.9, 3.9, 255.5, 256, 1e30, np.inf], dtype)
    (result,) = run_kernel(
        "elementwise", [others], [ArraySpec(dtype, (9,))], {"tape": tape}, target
    )
    np.testing.assert_array_equal(result, [0, 0, 0, 0, 2, 8, 8, 8, 8])
