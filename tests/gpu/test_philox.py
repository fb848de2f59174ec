"""Philox4x32-10 on the device against the known answers of Random123."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_mnist import backends

FULL = 0xFFFFFFFF
# Counter and key, least significant word first, and the answer.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((FULL,) * 4, (FULL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.sim
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(
    counter: tuple[int, ...], key: tuple[int, ...], answer: tuple[int, ...]
) -> None:
    backends.backend("cudasim")
    from tinygrad_mnist.kernels.core.device import cuda
    from tinygrad_mnist.kernels.tape.philox import philox4x32

    def kernel(words, out):
        with np.errstate(over="ignore"):  # NumPy keeps it per thread
            result = philox4x32(*(words[k] for k in range(6)))
        for k in range(4):
            out[k] = result[k]

    out = np.zeros(4, np.uint32)
    cuda.jit(kernel)[1, 1](np.array([*counter, *key], np.uint32), out)
    np.testing.assert_array_equal(out, np.array(answer, np.uint32))
