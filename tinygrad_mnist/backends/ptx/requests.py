"""What the threads of a warp access together: sectors of global memory, and banks of shared memory.

Addresses are in bytes, in a row of 32 for each warp, and `active` says which threads take part.
Accesses are aligned to their size.

* Global memory is read and written in sectors of 32 bytes ("CUDA C++ Programming Guide", "Device
  Memory Accesses").
* Shared memory has 32 banks of 4 bytes. In a wavefront, a bank gives one word to any number of
  threads. So a request takes as many wavefronts as the bank with the most words ("Shared Memory",
  same guide). A wavefront gives 128 bytes: accesses of 8 bytes take two, of half a warp each, and
  those of 16 bytes four. Loads can do with half as many where each thread has the address of the
  thread whose number differs in the last bit, or each in the last but one
  (forums.developer.nvidia.com, topic 77228, for compute capability 7.x; taken to hold since).
"""

from __future__ import annotations

import numpy as np

from tinygrad_mnist.contracts.core.base import Array

WARP = 32
SECTOR = 32  # bytes
_WORD, _BANKS = 4, 32
_LANES = np.arange(WARP)
_NONE = np.int64(_BANKS) << 40  # the key of a thread that takes no part


def rows_of(addresses: Array, row: Array, lane: Array, n_rows: int) -> tuple[Array, Array]:
    """Addresses by warp and lane, and which threads are active. The others have the address of an
    active thread of their warp. row: of each thread, the number of its warp, ascending."""
    if len(addresses) == n_rows * WARP:
        return addresses.reshape(n_rows, WARP), np.ones((n_rows, WARP), bool)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    table = addresses[starts].repeat(WARP).reshape(n_rows, WARP)
    active = np.zeros((n_rows, WARP), bool)
    table[row, lane] = addresses
    active[row, lane] = True
    return table, active


def sectors(table: Array, width: int) -> tuple[Array, Array, Array]:
    """The sectors that each warp accesses, the least number that could hold as many bytes, and the
    addresses sorted by warp. Inactive threads have the address of an active one. width: bytes of a
    thread's access."""
    in_order = np.sort(table, axis=1)
    steps = np.diff(in_order, axis=1)
    distinct = 1 + np.count_nonzero(steps, axis=1)
    found = 1 + np.count_nonzero(np.diff(in_order // SECTOR, axis=1), axis=1)
    return found, -(-distinct * width // SECTOR), in_order


def wavefronts(table: Array, active: Array, width: int, loads: bool) -> tuple[Array, Array]:
    """The wavefronts that each warp's access of shared memory takes, and how many it would take
    without bank conflicts. width: bytes of a thread's access."""
    n_words = max(1, width // _WORD)
    words = table[:, :, None] // _WORD + np.arange(n_words)
    apart = _phases(words, active, n_words)
    if n_words == 1 or not loads:
        return apart
    packed = np.flatnonzero(_neighbours_agree(table, active))
    if len(packed):
        merged = _phases(words[packed], active[packed], n_words // 2)
        fewer = merged[0] < apart[0][packed]
        for part, own in zip(merged, apart, strict=True):
            own[packed[fewer]] = part[fewer]
    return apart


def _neighbours_agree(table: Array, active: Array) -> Array:
    agree = np.zeros(len(table), bool)
    for distance in (1, 2):
        other = _LANES ^ distance
        same = (table == table[:, other]) | ~(active & active[:, other])
        agree |= same.all(axis=1)
    return agree


def _phases(words: Array, active: Array, n: int) -> tuple[Array, Array]:
    """Wavefronts where a warp is served in n phases, and phases in which a thread takes part."""
    warps, _, n_words = words.shape
    on = np.broadcast_to(active[:, :, None], words.shape).reshape(warps * n, -1)
    degrees = _degrees(words.reshape(warps * n, WARP // n * n_words), on).reshape(warps, n)
    return degrees.sum(axis=1), np.count_nonzero(degrees, axis=1)


def _degrees(words: Array, active: Array) -> Array:
    """Of each row, how many different words the bank with the most of them gives."""
    high = np.where(active, words, -1).max(axis=1)
    low = np.where(active, words, high[:, None]).min(axis=1)
    degrees: Array = (high >= 0).astype(np.int64)
    hard = np.flatnonzero(high - low >= _BANKS)
    if len(hard):
        degrees[hard] = _most_words(words[hard], active[hard])
    return degrees


def _most_words(words: Array, active: Array) -> Array:
    keys = np.where(active, (words % _BANKS << 40) | words // _BANKS, _NONE)
    keys.sort(axis=1)
    is_new = np.diff(keys, axis=1, prepend=-1) != 0
    row = np.arange(len(keys))[:, None] * (_BANKS + 1)
    numbers = (row + (keys >> 40))[is_new]
    counts = np.bincount(numbers, minlength=len(keys) * (_BANKS + 1)).reshape(len(keys), -1)
    most: Array = counts[:, :_BANKS].max(axis=1)
    return most
