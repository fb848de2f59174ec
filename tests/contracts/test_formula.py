"""Formulas and tapes as text: parentheses where they are needed, values computed once."""

from __future__ import annotations

import ast
from random import Random

import pytest

from tinygrad_mnist.contracts.core.formula import ATOM, Formula, applied, number
from tinygrad_mnist.contracts.core.listing import show_tape, tape_code
from tinygrad_mnist.contracts.core.tape import Instruction, Tape

A, B, C = Formula("a"), Formula("b"), Formula("c")


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (applied("mul", applied("add", A, B), C), "(a + b) * c"),
        (applied("add", applied("mul", A, B), C), "a * b + c"),
        (applied("sub", A, applied("sub", B, C)), "a - (b - c)"),
        (applied("sub", applied("sub", A, B), C), "a - b - c"),
        (applied("add", A, applied("add", B, C)), "a + (b + c)"),
        (applied("true_div", A, applied("mul", B, C)), "a / (b * c)"),
        (applied("div", applied("mul", A, B), C), "a * b / c"),
        (applied("mod", applied("int_div", A, B), C), "a // b % c"),
        (applied("neg", applied("add", A, B)), "-(a + b)"),
        (applied("neg", applied("mul", A, B)), "-(a * b)"),
        (applied("mul", applied("neg", A), B), "-a * b"),
        (applied("sub", A, applied("neg", B)), "a - -b"),
        (applied("neg", applied("neg", A)), "-(-a)"),
        (applied("neg", applied("pow", A, B)), "-a ** b"),
        (applied("pow", applied("neg", A), B), "(-a) ** b"),
        (applied("pow", A, applied("neg", B)), "a ** -b"),
        (applied("pow", A, applied("pow", B, C)), "a ** b ** c"),
        (applied("pow", applied("pow", A, B), C), "(a ** b) ** c"),
        (applied("pow", number("-2"), A), "(-2) ** a"),
        (applied("lt", applied("lt", A, B), C), "(a < b) < c"),
        (applied("ge", A, applied("add", B, C)), "a >= b + c"),
        (applied("mul", applied("gt", A, B), C), "(a > b) * c"),
        (applied("exp", applied("add", A, B)), "exp(a + b)"),
        (applied("switch", applied("le", A, B), A, B), "switch(a <= b, a, b)"),
        (applied("eq", A, B), "eq(a, b)"),
        (applied("neg", A, B), "neg(a, b)"),
    ],
)
def test_precedence(formula: Formula, text: str) -> None:
    assert formula.text == text


BINARY = ("add", "sub", "mul", "true_div", "int_div", "mod", "pow", "lt", "le", "gt", "ge")
NODES = {
    "Add": "add", "Sub": "sub", "Mult": "mul", "Div": "true_div", "FloorDiv": "int_div",
    "Mod": "mod", "Pow": "pow", "Lt": "lt", "LtE": "le", "Gt": "gt", "GtE": "ge",
    "BitOr": "bit_or", "BitXor": "bit_xor", "BitAnd": "logical_and",
    "USub": "neg", "Invert": "bit_not",
}  # fmt: skip


def random_formula(random: Random, depth: int) -> tuple[Formula, str]:
    """A formula, and the same in Polish notation."""
    if depth == 0 or random.random() < 0.1:
        leaf = random.choice("abc")
        return Formula(leaf), leaf
    name = random.choice([*BINARY, "bit_or", "bit_xor", "logical_and", "neg", "bit_not", "exp"])
    arity = 1 if name in ("neg", "bit_not", "exp") else 2
    parts = [random_formula(random, depth - 1) for _ in range(arity)]
    return applied(name, *(p[0] for p in parts)), " ".join([name, *(p[1] for p in parts)])


def polish(tree: ast.expr) -> str:
    """Python's reading of a formula, in Polish notation."""
    match tree:
        case ast.Name(id=name):
            return name
        case ast.UnaryOp(op=op, operand=operand):
            return f"{NODES[type(op).__name__]} {polish(operand)}"
        case ast.BinOp(left=left, op=op, right=right):
            return f"{NODES[type(op).__name__]} {polish(left)} {polish(right)}"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return f"{NODES[type(op).__name__]} {polish(left)} {polish(right)}"
        case ast.Call(func=ast.Name(id=name), args=args):
            return " ".join([name, *map(polish, args)])
    raise AssertionError(ast.dump(tree))


@pytest.mark.parametrize("seed", range(200))
def test_python_reads_a_formula_as_it_was_meant(seed: int) -> None:
    formula, expected = random_formula(Random(seed), 5)
    assert polish(ast.parse(formula.text, mode="eval").body) == expected


def test_parentheses_are_only_where_they_are_needed() -> None:
    text = applied("add", applied("mul", A, applied("pow", B, C)), applied("neg", A)).text
    assert text == "a * b ** c + -a"
    assert Formula("a", ATOM).within(ATOM) == "a"


def tape(*instructions: Instruction, n_inputs: int = 1, dtype: str = "float32") -> Tape:
    return Tape(dtype, n_inputs, instructions, (n_inputs + len(instructions) - 1,))


def test_a_tape_in_one_line() -> None:
    relu = tape(
        Instruction("add", (0, 1)),
        Instruction("const", immediate=0.0),
        Instruction("maximum", (3, 2)),
        n_inputs=2,
    )
    assert show_tape(relu) == "maximum(0, i0 + i1)"
    assert show_tape(Tape("float32", 2, (), (1, 0))) == "i1, i0"


def test_what_a_tape_reads_twice_has_a_name() -> None:
    logistic = tape(
        Instruction("exp", (0,)),
        Instruction("const", immediate=1.0),
        Instruction("add", (1, 2)),
        Instruction("div", (1, 3)),
    )
    assert show_tape(logistic) == "v0 = exp(i0); v0 / (v0 + 1)"


def test_long_tapes_have_short_texts() -> None:
    """Squaring forty times would be 2 ** 40 factors without names."""
    powers = tape(*(Instruction("mul", (k, k)) for k in range(40)))
    assert show_tape(powers).startswith("v0 = i0 * i0; v1 = v0 * v0; ")
    assert show_tape(powers).endswith("v38 = v37 * v37; v38 * v38")


def test_a_tape_as_code() -> None:
    step = tape(
        Instruction("const", immediate=float.fromhex("0x1.99999a0000000p-4")),
        Instruction("mul", (0, 2)),
        Instruction("sub", (1, 3)),
        n_inputs=2,
    )
    assert tape_code("epilogue", step).splitlines() == [
        "def epilogue(i0, i1):  # float32",
        "    v3 = i0 * 0.1",
        "    v4 = i1 - v3",
        "    return v4",
    ]
    assert tape_code("count", tape(Instruction("const", immediate=-3.0), dtype="int64")) == (
        "def count(i0):  # int64\n    return -3"
    )
