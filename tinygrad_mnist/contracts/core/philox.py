"""Philox4x32-10, the counter-based generator of all random numbers.

Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011). A number is a function of
(key, step, index of the element) alone, so that every backend and every number of threads draws
the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Array

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)


def philox4x32(counters: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Four random words per counter.

    counters: (n, 4) uint32, the least significant word first. key: two 32-bit words.
    Returns (n, 4) uint32.
    """
    c0, c1, c2, c3 = (counters[:, i].astype(np.uint64) for i in range(4))
    key0, key1 = key
    for _ in range(_ROUNDS):
        product0 = c0 * _MULTIPLIERS[0]
        product1 = c2 * _MULTIPLIERS[1]
        c0 = (product1 >> _WORD) ^ c1 ^ np.uint64(key0)
        c1 = product1 & _LOW
        c2 = (product0 >> _WORD) ^ c3 ^ np.uint64(key1)
        c3 = product0 & _LOW
        key0 = (key0 + _WEYL[0]) & 0xFFFFFFFF
        key1 = (key1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def uniform(dtype: str, index: NDArray[np.int64], step: int, key: int) -> Array:
    """Uniform numbers in [0, 1).

    dtype: "float32" (24 random bits, four numbers per counter) or "float64" (53 bits, two).
    index: number of each element in C order of the whole draw. step: which draw of this key.
    key: 64 bits, the seed. Returns an array of index's shape.
    """
    per_block = 4 if dtype == "float32" else 2
    flat = index.reshape(-1)
    blocks, inverse = np.unique(flat // per_block, return_inverse=True)
    counters = np.empty((len(blocks), 4), np.uint32)
    counters[:, 0] = blocks & 0xFFFFFFFF
    counters[:, 1] = blocks >> 32
    counters[:, 2] = step & 0xFFFFFFFF
    counters[:, 3] = (step >> 32) & 0xFFFFFFFF
    words = philox4x32(counters, (key & 0xFFFFFFFF, key >> 32))
    lane = flat % per_block
    if dtype == "float32":
        numbers = (words[inverse, lane] >> 8).astype(np.float32) * np.float32(2.0**-24)
    else:
        high = (words[inverse, 2 * lane] >> 5).astype(np.float64)
        low = (words[inverse, 2 * lane + 1] >> 6).astype(np.float64)
        numbers = (high * 67108864.0 + low) * 2.0**-53
    return numbers.reshape(index.shape)
