"""Which threads have touched each word of a memory, and which of them did so without an order.

Two accesses of a word, one of them a write, are in order if one thread does both, or if a barrier
of their block is between them. Blocks of a launch are in no order.

A thread's moment is one number: its block, the barriers that the block has passed, and its number
there.
"""

from __future__ import annotations

import numpy as np

from tinygrad_mnist.contracts.core.base import Array

_BLOCK, _EPOCH = 32, 12  # bits behind which a moment has the block and the epoch
_THREAD = (1 << _EPOCH) - 1
_SEVERAL = 1 << 11  # beside a thread's number: others of its block too
_MANY_BLOCKS = -1


def moments(block: Array, epoch: Array, thread: Array) -> Array:
    """The moment of each thread. block: its number in the grid."""
    return ((block + 1) << _BLOCK) | (epoch << _EPOCH) | thread


def thread_of(moment: int) -> tuple[int, int] | None:
    """Block and number of the thread, or one of the threads; None if it is of several blocks."""
    if moment == _MANY_BLOCKS:
        return None
    return (moment >> _BLOCK) - 1, moment & _THREAD & ~_SEVERAL


def _conflicts(others: Array, own: Array) -> Array:
    """Where an earlier access isn't in order with one of `own`."""
    same_block = (others >> _BLOCK) == (own >> _BLOCK)
    same_epoch = (others >> _EPOCH) == (own >> _EPOCH)
    same_thread = (others & _THREAD) == (own & _THREAD)
    found: Array = (others != 0) & (~same_block | (same_epoch & ~same_thread))
    return found


class Shadow:
    """Of each word, the moments of the last write and of the last reads.

    begin, end: the bytes of the allocation that it covers. word: bytes of a word, as many as the
    narrowest access has.
    """

    def __init__(self, begin: int, end: int, word: int) -> None:
        self.begin, self.word = begin - begin % word, word
        n = -(-(end - self.begin) // word)
        self._writers = np.zeros(n, np.int64)
        self._readers = np.zeros(n, np.int64)

    def words(self, index: Array, nbytes: int, own: Array) -> tuple[Array, Array, Array]:
        """The words of accesses of so many bytes, the moment of each, and the number of its thread
        among these; without those that are not covered."""
        first = (index - self.begin) // self.word
        n = max(1, nbytes // self.word)
        words = (first[:, None] + np.arange(n)).reshape(-1)
        which = np.repeat(np.arange(len(index)), n)
        covered = (words >= 0) & (words < len(self._writers))
        if not covered.all():
            words, which = words[covered], which[covered]
        return words, own[which], which

    def read(self, words: Array, own: Array) -> tuple[Array, Array]:
        """Records reads. Returns where they aren't in order with a write, and this write."""
        writers = self._writers[words]
        old = self._readers[words]
        same_block = (old >> _BLOCK) == (own >> _BLOCK)
        same_epoch = (old >> _EPOCH) == (own >> _EPOCH)
        new = np.where(same_epoch & (old != own), own | _SEVERAL, own)
        new = np.where((old != 0) & ~same_block, _MANY_BLOCKS, new)
        self._readers[words] = new
        after = self._readers[words]
        lost = np.flatnonzero(after != new)  # another thread of these has read the word, too
        if len(lost):
            same = (after[lost] >> _BLOCK) == (new[lost] >> _BLOCK)
            here, apart = lost[same], lost[~same]
            self._readers[words[here]] = after[here] | _SEVERAL
            self._readers[words[apart]] = _MANY_BLOCKS
        return _conflicts(writers, own), writers

    def written_by_others(self, words: Array, own: Array) -> Array:
        """Which reads aren't in order with the last write of their word."""
        return _conflicts(self._writers[words], own)

    def write(self, words: Array, own: Array) -> tuple[Array, Array, Array, Array]:
        """Records writes. Returns where they aren't in order with an earlier write or read, where
        one of these very writes has the same word, and the moments of the others."""
        writers, readers = self._writers[words], self._readers[words]
        self._writers[words] = own
        last = self._writers[words]
        by_write, by_read, together = (
            _conflicts(writers, own),
            _conflicts(readers, own),
            last != own,
        )
        others = np.where(together, last, np.where(by_read, readers, writers))
        return by_write, by_read, together, others
