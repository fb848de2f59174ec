"""Sums, differences and products of several words, against Python's integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.ptx import computed, kernel_text, run

from tinygrad_mnist.backends.ptx.types import UnsetRegisterError

WORDS = {32: "r", 64: "rd"}  # bits, and the registers that have so many


def numbers(bits: int, n_words: int) -> list[list[int]]:
    """The words of numbers, the lowest first: a column for each."""
    rng = np.random.default_rng(bits + n_words)
    chosen = [0, 1, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1]
    draws = [*chosen, *(int(v) % 2**bits for v in rng.integers(0, 2**63, 5) * 0x1234567)]
    return [[draws[k] for k in rng.integers(0, len(draws), 200)] for _ in range(n_words)]


def whole(words: list[list[int]], bits: int) -> list[int]:
    return [sum(w << (k * bits) for k, w in enumerate(one)) for one in zip(*words, strict=True)]


def check(bits: int, code: str, inputs: list[list[int]], wanted: list[int], n_words: int) -> None:
    """Code that leaves words in x0, x1, ..., of which each is compared."""
    name = WORDS[bits]
    for k in range(4):
        code = code.replace(f"x{k}", f"%{name}{40 + k}")
    for k in range(n_words):
        text = f"{code}\nmov.b{bits} {{out}}, %{name}{40 + k};"
        found = computed(text, f"u{bits}", [f"u{bits}"] * len(inputs), *inputs)
        expected = [(v >> (k * bits)) % 2**bits for v in wanted]
        np.testing.assert_array_equal(found, np.array(expected, f"u{bits // 8}"), f"word {k}")


@pytest.mark.parametrize("bits", WORDS)
@pytest.mark.parametrize("sign", "us")
@pytest.mark.parametrize(
    ("name", "function"), [("add", lambda a, b: a + b), ("sub", lambda a, b: a - b)]
)
def test_sums_and_differences(
    name: str, function: Callable[[int, int], int], sign: str, bits: int
) -> None:
    kind = f"{sign}{bits}"
    words = numbers(bits, 6)
    code = f"""
    {name}.cc.{kind} x0, {{0}}, {{3}};
    {name}c.cc.{kind} x1, {{1}}, {{4}};
    {name}c.{kind} x2, {{2}}, {{5}};
    """
    wanted = map(function, whole(words[:3], bits), whole(words[3:], bits))
    check(bits, code, words, list(wanted), 3)


@pytest.mark.parametrize("bits", WORDS)
@pytest.mark.parametrize("sign", "us")
def test_products_that_are_added(sign: str, bits: int) -> None:
    kind = f"{sign}{bits}"
    a, b, *c = numbers(bits, 5)
    code = f"""
    mad.lo.cc.{kind} x0, {{0}}, {{1}}, {{2}};
    madc.hi.cc.{kind} x1, {{0}}, {{1}}, {{3}};
    madc.lo.{kind} x2, {{0}}, {{1}}, {{4}};
    """

    def number(v: int) -> int:
        return v - 2**bits if sign == "s" and v >= 2 ** (bits - 1) else v

    wanted = []
    for x, y, low, middle, high in zip(a, b, *c, strict=True):
        product = number(x) * number(y) % 2 ** (2 * bits)  # of two words
        total = product + low + (middle << bits)
        wanted.append(total + (((product % 2**bits) + high) << (2 * bits)))
    check(bits, code, [a, b, *c], wanted, 3)


@pytest.mark.parametrize("behind", ["", "bar.sync 0;\n"])
def test_a_carry_is_each_threads_own(behind: str) -> None:
    """Also behind a barrier, where it isn't a local variable of the block of code any more."""
    body = f"""
    mov.u32 %r1, %tid.x;
    add.cc.u32 %r2, %r1, 0xFFFFFFFE;
    {behind}addc.u32 %r3, 0, 0;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd2, %rd2, %rd0;
    st.global.u32 [%rd2], %r3;
    """
    [found], observer = run(kernel_text(body, 1), [np.zeros(5, np.uint32)], 5)
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 1])
    assert observer.findings == []


def test_a_carry_that_nothing_has_written_is_an_error() -> None:
    body = "addc.u32 %r1, 0, 0;\nst.global.u32 [%rd0], %r1;"
    with pytest.raises(UnsetRegisterError, match="carry flag"):
        run(kernel_text(body, 1), [4], 1)
