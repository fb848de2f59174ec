"""Philox4x32-10 against the known answers of Random123 (kat_vectors, philox 4x32 10)."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.native import TARGETS, run_kernel

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core import philox
from tinygrad_mnist.contracts.core.tape import Instruction, Tape

FULL = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((FULL,) * 4, (FULL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...]
) -> None:
    words = philox.philox4x32(np.array([counter, counter], np.uint32), key)
    np.testing.assert_array_equal(words, [answer, answer])


def test_floats_from_known_words() -> None:
    """Element e of a float32 draw is word e % 4 of block e // 4; a float64 takes two words."""
    words = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    singles = philox.uniform("float32", np.arange(4), 0, 0)
    np.testing.assert_array_equal(singles, [(w >> 8) / 2**24 for w in words])
    doubles = philox.uniform("float64", np.arange(2), 0, 0)
    pairs = [(words[0], words[1]), (words[2], words[3])]
    np.testing.assert_array_equal(
        doubles, [((a >> 5) * 2**26 + (b >> 6)) / 2**53 for a, b in pairs]
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distribution(dtype: str) -> None:
    """Uniform in [0, 1), and another draw for another step or key."""
    index = np.arange(100_000)
    draws = [philox.uniform(dtype, index, step, key) for step, key in [(0, 1), (1, 1), (0, 2)]]
    for draw in draws:
        assert draw.dtype == dtype
        assert draw.min() >= 0
        assert draw.max() < 1
        counts = np.histogram(draw, bins=50, range=(0, 1))[0]
        assert ((counts - 2000) ** 2 / 2000).sum() < 110  # chi squared, 49 degrees of freedom
    for a, b in [(0, 1), (0, 2), (1, 2)]:
        assert abs(np.corrcoef(draws[a], draws[b])[0, 1]) < 0.02


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(300_001,), (997, 301)])
def test_same_bits_for_any_number_of_threads(
    shape: tuple[int, ...], dtype: str, target: str
) -> None:
    """The kernel's draw is the contract's, in however many chunks it is made."""
    key = 0x123456789ABCDEF
    tape = Tape(dtype, 1, (Instruction("uniform", (0,), key=key),), (1,))
    index = np.arange(int(np.prod(shape))).reshape(shape)
    exact = philox.uniform(dtype, index, 2**40 + 3, key)
    for threads in (1, 2, 4):
        for output in (ArraySpec(dtype, shape), np.full(shape, np.nan, dtype, order="F")):
            (result,) = run_kernel(
                "elementwise", [np.array(2**40 + 3)], [output], {"tape": tape}, target, threads
            )
            np.testing.assert_array_equal(result, exact)
