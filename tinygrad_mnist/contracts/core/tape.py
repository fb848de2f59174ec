"""Elementwise expressions as straight-line code, and their NumPy interpreter.

A tape computes in one dtype (float32, float64 or int64). Its inputs are converted to that dtype
when they are loaded, its results to the dtype of the output when they are stored; comparisons
give 0 or 1 in the tape's dtype. Values are numbered: inputs first, then instructions in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .base import Array, ArraySpec
from .philox import uniform


@dataclass(frozen=True)
class Instruction:
    """One operation of a tape.

    op: name of the operation, a key of `OPCODES`.
    args: numbers of the values that it reads.
    immediate: the value of a `const`.
    key: the Philox key of a `uniform`.
    """

    op: str
    args: tuple[int, ...] = ()
    immediate: float = 0.0
    key: int = 0


@dataclass(frozen=True)
class Tape:
    """A sequence of instructions over `n_inputs` inputs; `outputs` are numbers of values."""

    dtype: str
    n_inputs: int
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    @staticmethod
    def identity(dtype: str) -> Tape:
        """The tape that returns its only input."""
        return Tape(dtype, 1, (), (0,))

    @property
    def is_identity(self) -> bool:
        """Whether the tape returns its first input unchanged."""
        return not self.instructions and self.outputs == (0,)

    @property
    def step_inputs(self) -> frozenset[int]:
        """Numbers of the inputs that count the steps of random draws; empty if it draws none."""
        draws = (i for i in self.instructions if OPCODES[i.op].draws)
        return frozenset(i.args[0] for i in draws)


@dataclass(frozen=True)
class Opcode:
    """What an operation of a tape computes.

    function: of `arity` arrays of one dtype. dtypes: of the tapes that may have it.
    flops: per element. draws: whether it draws random numbers, by `function(dtype, index, step,
    key)`: `index` is the number of each element in C order; `args[0]` is the number of the 0-d
    int64 input that counts steps, which is never converted.
    """

    arity: int
    function: Callable[..., Array]
    dtypes: tuple[str, ...]
    flops: int = 1
    draws: bool = False


FLOATS = ("float32", "float64")
_INTEGERS = ("int64",)
_NUMBERS = (*FLOATS, *_INTEGERS)


def _sigmoid(x: Array) -> Array:
    power = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, power, np.ones_like(power)) / (1 + power))


def _each(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of numbers, which NumPy lacks, for arrays of any float dtype."""
    ufunc = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(ufunc(x), x.dtype)


def _power(x: Array, y: Array) -> Array:
    """x ** y; of integers it wraps, and a negative power is 1 / x ** |y| rounded towards zero."""
    if x.dtype.kind == "f":
        return np.asarray(np.power(x, y))
    ones = np.where(y % 2 == 0, x * x, x)  # x ** y where x is 1 or -1
    negative = np.where(np.abs(x) == 1, ones, 0)
    return np.asarray(np.where(y < 0, negative, np.power(x, np.maximum(y, 0))))


def _round_away(x: Array) -> Array:
    whole = np.trunc(x)
    return np.asarray(whole + np.copysign(np.abs(x - whole) >= 0.5, x))


_ONES = np.array([n.bit_count() for n in range(256)])


def _bit_count(x: Array) -> Array:
    """The number of ones among the bits of a byte, such as a mask of winners; other numbers are
    rounded down and clipped to [0, 255], and NaN counts as 0."""
    byte = np.where(x > 0, np.minimum(x, 255), 0).astype(np.uint8)
    return np.asarray(_ONES[byte].astype(x.dtype))


def _switch(condition: Array, a: Array, b: Array) -> Array:
    return np.asarray(np.where(np.asarray(condition != 0), a, b))


def _no_function(*_: Array) -> Array:
    raise NotImplementedError("run_tape computes this one itself")


OPCODES: dict[str, Opcode] = {
    "const": Opcode(0, _no_function, _NUMBERS, flops=0),
    "neg": Opcode(1, np.negative, _NUMBERS),
    "abs": Opcode(1, np.abs, _NUMBERS),
    "sign": Opcode(1, np.sign, _NUMBERS),
    "exp": Opcode(1, np.exp, FLOATS),
    "log": Opcode(1, np.log, FLOATS),
    "log1p": Opcode(1, np.log1p, FLOATS),
    "sqrt": Opcode(1, np.sqrt, FLOATS),
    "sqr": Opcode(1, np.square, _NUMBERS),
    "sigmoid": Opcode(1, _sigmoid, FLOATS),
    "tanh": Opcode(1, np.tanh, FLOATS),
    "softplus": Opcode(1, lambda x: np.logaddexp(x.dtype.type(0), x), FLOATS),
    "exp2": Opcode(1, np.exp2, FLOATS),
    "expm1": Opcode(1, np.expm1, FLOATS),
    "log2": Opcode(1, np.log2, FLOATS),
    "log10": Opcode(1, np.log10, FLOATS),
    "sin": Opcode(1, np.sin, FLOATS),
    "cos": Opcode(1, np.cos, FLOATS),
    "tan": Opcode(1, np.tan, FLOATS),
    "arcsin": Opcode(1, np.arcsin, FLOATS),
    "arccos": Opcode(1, np.arccos, FLOATS),
    "arctan": Opcode(1, np.arctan, FLOATS),
    "sinh": Opcode(1, np.sinh, FLOATS),
    "cosh": Opcode(1, np.cosh, FLOATS),
    "arcsinh": Opcode(1, np.arcsinh, FLOATS),
    "arccosh": Opcode(1, np.arccosh, FLOATS),
    "arctanh": Opcode(1, np.arctanh, FLOATS),
    "erf": Opcode(1, _each(math.erf), FLOATS),
    "erfc": Opcode(1, _each(math.erfc), FLOATS),
    "floor": Opcode(1, np.floor, FLOATS),
    "ceil": Opcode(1, np.ceil, FLOATS),
    "round": Opcode(1, np.rint, FLOATS),
    "round_away": Opcode(1, _round_away, FLOATS),
    "trunc": Opcode(1, np.trunc, FLOATS),
    "isnan": Opcode(1, np.isnan, FLOATS),
    "isinf": Opcode(1, np.isinf, FLOATS),
    "bit_count": Opcode(1, _bit_count, FLOATS),
    "logical_not": Opcode(1, np.logical_not, _NUMBERS),
    "bit_not": Opcode(1, np.invert, _INTEGERS),
    "add": Opcode(2, np.add, _NUMBERS),
    "sub": Opcode(2, np.subtract, _NUMBERS),
    "mul": Opcode(2, np.multiply, _NUMBERS),
    "div": Opcode(2, np.true_divide, FLOATS),
    "int_div": Opcode(2, np.floor_divide, _NUMBERS),
    "mod": Opcode(2, np.mod, _NUMBERS),
    "pow": Opcode(2, _power, _NUMBERS),
    "arctan2": Opcode(2, np.arctan2, FLOATS),
    "maximum": Opcode(2, np.maximum, _NUMBERS),
    "minimum": Opcode(2, np.minimum, _NUMBERS),
    "eq": Opcode(2, np.equal, _NUMBERS),
    "neq": Opcode(2, np.not_equal, _NUMBERS),
    "lt": Opcode(2, np.less, _NUMBERS),
    "le": Opcode(2, np.less_equal, _NUMBERS),
    "gt": Opcode(2, np.greater, _NUMBERS),
    "ge": Opcode(2, np.greater_equal, _NUMBERS),
    "logical_and": Opcode(2, np.logical_and, _NUMBERS),
    "logical_or": Opcode(2, np.logical_or, _NUMBERS),
    "bit_and": Opcode(2, np.bitwise_and, _INTEGERS),
    "bit_or": Opcode(2, np.bitwise_or, _INTEGERS),
    "bit_xor": Opcode(2, np.bitwise_xor, _INTEGERS),
    "switch": Opcode(3, _switch, _NUMBERS),
    "uniform": Opcode(1, uniform, FLOATS, flops=0, draws=True),
}
"""The operations by name. `const` reads its immediate."""

COMPARISONS = ("eq", "neq", "lt", "le", "gt", "ge")
TRUTHS = frozenset((*COMPARISONS, "isnan", "isinf", "logical_not", "logical_and", "logical_or"))
"""Operations whose results are 0 or 1 in a tape of any dtype."""


def tape_flops(tape: Tape) -> int:
    """Floating-point operations per element."""
    return sum(OPCODES[instruction.op].flops for instruction in tape.instructions)


def compute_dtype(dtype: str, inputs: Sequence[Array]) -> np.dtype[np.generic]:
    """The dtype in which a reference computes for a tape of `dtype`.

    That of the tape; but where a test passes all float inputs in a wider dtype, to get a more exact
    answer, that one.
    """
    floats = {x.dtype for x in inputs if x.dtype.kind == "f"}
    if dtype in FLOATS and len(floats) == 1:
        return np.promote_types(dtype, *floats)
    return np.dtype(dtype)


def run_tape(tape: Tape, inputs: Sequence[Array], outputs: Sequence[ArraySpec]) -> list[Array]:
    """The tape's results.

    inputs: broadcast to the outputs' shape. outputs: what is wanted, all of one shape. A result
    has the dtype of its spec, unless it is the tape's: then it has that of the computation (see
    `compute_dtype`).
    """
    dtype = compute_dtype(tape.dtype, inputs)
    shape = outputs[0].shape
    with np.errstate(all="ignore"):
        values: list[Array] = [np.asarray(x).astype(dtype) for x in inputs]
        for instruction in tape.instructions:
            opcode = OPCODES[instruction.op]
            if instruction.op == "const":
                value = np.asarray(instruction.immediate, dtype)
            elif opcode.draws:
                step = int(inputs[instruction.args[0]])
                index = np.arange(outputs[0].size, dtype=np.int64).reshape(shape)
                value = opcode.function(tape.dtype, index, step, instruction.key)
            else:
                args = [values[arg] for arg in instruction.args]
                value = np.asarray(opcode.function(*args))
            values.append(value.astype(dtype))
        results = []
        for number, spec in zip(tape.outputs, outputs, strict=True):
            wanted = dtype if spec.dtype == tape.dtype else np.dtype(spec.dtype)
            results.append(np.broadcast_to(_stored(values[number], wanted), spec.shape))
    return results


def _stored(value: Array, dtype: np.dtype[np.generic]) -> Array:
    """The value as a store converts it: bools by truth, integers truncated, then wrapped."""
    if dtype.kind == "b":
        return np.asarray(value != 0)
    if dtype.kind in "iu" and value.dtype.kind == "f":
        value = value.astype(np.int64)
    return value.astype(dtype)
