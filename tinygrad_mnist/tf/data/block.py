"""Many elements of a data set side by side: whole arrays in place of single elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.keras.tensors import tensor
from tinygrad_mnist.tf.data.structure import pack

#: Elements and bytes that are gathered at once, at most.
ROWS, NBYTES = 8192, 32 << 20


@dataclass(frozen=True)
class Block:
    """Elements `columns[leaf][row]` for each of `rows`, in that order.

    form: an element's structure. columns: an array for each leaf; blocks of the same columns are
    the same data in another order, and are joined without a copy. is_ragged: elements differ in
    shape, so the columns are arrays of objects, which are arrays.
    """

    form: Any
    columns: tuple[NDArray[Any], ...]
    rows: range | NDArray[np.intp]
    is_ragged: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Block:
        if isinstance(self.rows, np.ndarray):
            return replace(self, rows=self.rows[rows])
        if isinstance(rows, slice):
            return replace(self, rows=self.rows[rows])
        return replace(self, rows=rows + self.rows.start)

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The columns of these rows alone; views where the rows are in order."""
        if isinstance(self.rows, range):
            return tuple(c[self.rows.start : self.rows.stop] for c in self.columns)
        return tuple(c.take(self.rows, axis=0) for c in self.columns)

    def elements(self) -> Iterator[Any]:
        """The elements one by one, their leaves as tensors."""
        for piece in pieces(self):
            arrays = piece.arrays()
            for i in range(len(piece)):
                yield pack(self.form, [tensor(a[i]) for a in arrays])


def block_of(form: Any, arrays: Sequence[NDArray[Any]]) -> Block:
    """A block of all rows of arrays."""
    return Block(form, tuple(arrays), range(len(arrays[0])))


def pieces(block: Block, rows: int = ROWS, multiple: int = 1) -> Iterator[Block]:
    """The block in pieces that can be gathered at once, their lengths multiples of a number."""
    width = sum(c.itemsize * int(np.prod(c.shape[1:], dtype=int)) for c in block.columns)
    step = max(1, min(rows, NBYTES // max(width, 1)) // multiple) * multiple
    for start in range(0, len(block), step):
        yield block[start : start + step]


def joined(blocks: Sequence[Block]) -> Block:
    """The elements of blocks one behind the other."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    if all(b.columns is first.columns for b in blocks):
        return replace(first, rows=np.concatenate([np.asarray(b.rows) for b in blocks]))
    if any(b.is_ragged or shapes(b) != shapes(first) for b in blocks):
        blocks = [ragged(b) for b in blocks]
    columns = (np.concatenate(c) for c in zip(*(b.arrays() for b in blocks), strict=True))
    return replace(block_of(first.form, tuple(columns)), is_ragged=blocks[0].is_ragged)


def shapes(block: Block) -> list[Any]:
    """The shape and dtype of each leaf of the elements."""
    return [(c.shape[1:], c.dtype) for c in block.columns]


def ragged(block: Block) -> Block:
    """The same with arrays as objects, which can be joined with any other."""
    if block.is_ragged:
        return block
    columns = []
    for array in block.arrays():
        column = np.empty(len(array), object)
        for i in range(len(array)):
            column[i] = tensor(array[i])
        columns.append(column)
    return replace(block_of(block.form, columns), is_ragged=True)


def even(block: Block) -> Block:
    """The block with one array for each leaf; ValueError where elements differ in shape."""
    if not block.is_ragged:
        return block
    columns = []
    for leaf, column in enumerate(block.arrays()):
        found = list(dict.fromkeys(x.shape for x in column))
        if len(found) > 1:
            raise ValueError(
                f"elements of different shapes, {list(found[0])} and {list(found[1])}, can't be in"
                f" one batch (part {leaf} of the elements)"
            )
        kinds = {x.dtype for x in column}
        if len(kinds) > 1:
            raise ValueError(
                f"elements of different dtypes, {' and '.join(sorted(map(str, kinds)))}, can't be"
                f" in one batch (part {leaf} of the elements)"
            )
        columns.append(np.stack([np.asarray(x) for x in column]))
    return block_of(block.form, columns)
