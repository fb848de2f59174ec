"""The steps of a data set: generators that take blocks of elements and give blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.tf.data.block import ROWS, Block, block_of, even, joined, pieces, ragged
from tinygrad_mnist.tf.data.structure import pack

Blocks = Iterable[Block]
Indices = NDArray[np.intp]


def _collected(blocks: Blocks, least: int) -> Iterator[Block]:
    """The blocks, small ones joined to at least that many elements; the last may have fewer."""
    parts: list[Block] = []
    count = 0
    for block in blocks:
        parts.append(block)
        count += len(block)
        if count >= least:
            yield joined(parts)
            parts, count = [], 0
    if parts:
        yield joined(parts)


def batched(blocks: Blocks, size: int, drop_remainder: bool) -> Iterator[Block]:
    """Each `size` elements as one, with an axis more; the last batch may have fewer."""
    rest: list[Block] = []
    count = 0
    for block in blocks:
        rest.append(block)
        count += len(block)
        if count < size:
            continue
        together, whole = joined(rest), count - count % size
        rows = size if together.is_ragged else ROWS  # only those of one batch need one shape
        for piece in pieces(together[:whole], rows, multiple=size):
            yield _batches(piece, size)
        count -= whole
        rest = [together[whole:]] if count else []
    if count and not drop_remainder:
        yield _batches(joined(rest), count)


def _batches(block: Block, size: int) -> Block:
    columns = even(block).arrays()
    count = len(block) // size
    return block_of(block.form, [c.reshape(count, size, *c.shape[1:]) for c in columns])


def unbatched(blocks: Blocks) -> Iterator[Block]:
    """The rows of each element as elements; ValueError where parts differ in length."""
    for block in blocks:
        for piece in _single(block) if block.is_ragged else [block]:
            columns = piece.arrays()
            lengths = {c.shape[1] if c.ndim > 1 else None for c in columns}
            if len(lengths) != 1 or None in lengths:
                shapes = ", ".join(str(c.shape[1:]) for c in columns)
                raise ValueError(f"elements of shapes {shapes} can't be taken apart into rows")
            count = columns[0].shape[0] * columns[0].shape[1]
            yield block_of(piece.form, [c.reshape(count, *c.shape[2:]) for c in columns])


def _single(block: Block) -> Iterator[Block]:
    """A block for each element of a ragged one."""
    for i in range(len(block)):
        yield even(block[i : i + 1])


def shuffled(blocks: Blocks, size: int, rng: np.random.Generator) -> Iterator[Block]:
    """TensorFlow's shuffle: each element is drawn from the next `size` that are left.

    The first `size` elements fill a buffer. A place of it is drawn, its element is the next, and
    the following element of the input takes the place. Without input the rest comes in a random
    order; so with size >= the number of elements each order is equally likely.
    """
    buffer: Block | None = None
    for block in _collected(blocks, 1 + size // 4):
        together = block if buffer is None else joined([buffer, block])
        if len(together) <= size:
            buffer = together
            continue
        drawn, kept = draws(rng, size, len(together) - size)
        yield together[drawn]
        buffer = together[kept]
    if buffer is not None:
        yield buffer[rng.permutation(len(buffer))]


def draws(rng: np.random.Generator, size: int, count: int) -> tuple[Indices, Indices]:
    """`count` draws from a buffer of elements 0..size-1 into which size, size + 1, … follow.

    Returns the elements in the order in which they are drawn, and those that stay.
    """
    slots = rng.integers(0, size, count)
    order = np.argsort(slots, kind="stable")
    is_again = np.concatenate([[False], slots[order][1:] == slots[order][:-1]])
    drawn = slots.copy()  # the first draw of a slot finds what filled it at first
    drawn[order[is_again]] = size + order[np.flatnonzero(is_again) - 1]
    kept = np.arange(size)
    np.maximum.at(kept, slots, size + np.arange(count))
    return drawn, kept


def taken(blocks: Callable[[], Blocks], count: int) -> Iterator[Block]:
    """The first `count` elements; all for -1."""
    left = count
    for block in blocks() if count else ():
        yield block if left < 0 or len(block) <= left else block[:left]
        if left >= 0:
            left -= len(block)
            if left <= 0:
                return


def skipped(blocks: Blocks, count: int) -> Iterator[Block]:
    """The elements behind the first `count`; none for -1."""
    left = count
    for block in blocks if count >= 0 else ():
        if left < len(block):
            yield block[left:] if left else block
        left = max(0, left - len(block))


def every(blocks: Blocks, step: int, first: int) -> Iterator[Block]:
    """Every `step`-th element, from number `first` on."""
    offset = first
    for block in blocks:
        if offset < len(block):
            yield block[np.arange(offset, len(block), step)]
        offset = (offset - len(block)) % step if offset < len(block) else offset - len(block)


def repeated(blocks: Callable[[], Blocks], count: int) -> Iterator[Block]:
    """The elements `count` times; again and again for -1, if there are any."""
    while count:
        is_empty = True
        for block in blocks():
            is_empty = is_empty and not len(block)
            yield block
        if is_empty:
            return
        count -= 1


def zipped(form: object, several: list[Blocks]) -> Iterator[Block]:
    """Elements whose parts are those of several data sets, as many as the shortest has."""
    streams = [iter(blocks) for blocks in several]
    current: list[Block | None] = [None] * len(streams)
    while True:
        for i, stream in enumerate(streams):
            while not current[i]:  # None, or no element left
                current[i] = next(stream, None)
                if current[i] is None:
                    return
        blocks = [block for block in current if block is not None]
        count = min(map(len, blocks))
        heads = [block[:count] for block in blocks]
        is_ragged = any(block.is_ragged for block in heads)
        heads = [ragged(block) if is_ragged else block for block in heads]
        nest = pack(form, [block.form for block in heads])
        columns = [array for block in heads for array in block.arrays()]
        yield replace(block_of(nest, columns), is_ragged=is_ragged)
        current = [block[count:] for block in blocks]


def numbered(blocks: Blocks, start: int) -> Iterator[Block]:
    """Pairs of a number, int64, and an element."""
    for block in blocks:
        numbers = np.arange(start, start + len(block))
        start += len(block)
        counted = block_of(0, [numbers])
        head = ragged(counted) if block.is_ragged else counted
        columns = [*head.arrays(), *block.arrays()]
        yield replace(block_of((0, block.form), columns), is_ragged=block.is_ragged)


class Cache:
    """Keeps the elements of the first complete pass."""

    def __init__(self, blocks: Callable[[], Blocks]) -> None:
        self._blocks = blocks
        self._kept: Block | None = None

    def __call__(self) -> Iterator[Block]:
        if self._kept is not None:
            yield self._kept
            return
        parts = []
        for block in self._blocks():
            parts.append(block)
            yield block
        if parts:
            self._kept = _settled(joined(parts))


def _settled(block: Block) -> Block:
    """The block's elements in order, in arrays of their own."""
    if isinstance(block.rows, range) and len(block) == len(block.columns[0]):
        return block
    return replace(block, columns=block.arrays(), rows=range(len(block)))


def first_element(blocks: Blocks) -> Block | None:
    """A block of the first element alone."""
    return next(iter(islice((b[:1] for b in blocks if len(b)), 1)), None)
