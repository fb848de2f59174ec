"""`map` and `filter`: a function applied to all elements of a block at once, or one by one.

A function that is called once must give what it gives element by element. A `Stack` sees to that
for all that it is asked; for what a function does besides, such as reading the clock or drawing
NumPy's random numbers, it is called for the first and the last element too, and the results are
compared. Where they differ the function is called for each element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.tf.data.block import Block, block_of, pieces
from tinygrad_mnist.tf.data.structure import change, is_nest, leaves, pack
from tinygrad_mnist.tf.stack import PerElement, Stack, tracing
from tinygrad_mnist.tf.tensors import tensor


class Mapped:
    """A function of elements, which remembers whether it can be applied to many at once."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._one_by_one = False

    def blocks(self, blocks: Iterable[Block]) -> Iterator[tuple[Block, Block]]:
        """Pieces of the blocks, and what the function gives for their elements."""
        for block in blocks:
            for piece in pieces(block):
                yield from self._piece(piece)

    def _piece(self, piece: Block) -> Iterator[tuple[Block, Block]]:
        if len(piece) > 1 and not (piece.is_ragged or self._one_by_one):
            found = self._at_once(piece)
            if found is not None:
                yield piece, found
                return
            self._one_by_one = True
        for i in range(len(piece)):
            single = piece[i : i + 1]
            yield single, _block_of_one(self.element(next(single.elements())))

    def element(self, element: Any) -> Any:
        """The function of one element; a tuple's parts are its arguments."""
        result = self._function(*element) if type(element) is tuple else self._function(element)
        return change(_no_lists(result), tensor)

    def _at_once(self, piece: Block) -> Block | None:
        """The function of all elements; None where it needs them one by one."""
        arrays = piece.arrays()
        stacks = pack(piece.form, [Stack(array) for array in arrays])
        try:
            with tracing():
                called = (
                    self._function(*stacks) if type(stacks) is tuple else self._function(stacks)
                )
                columns = [_column(leaf, len(piece)) for leaf in leaves(_no_lists(called))]
        except PerElement:
            return None
        form = change(_no_lists(called), lambda leaf: None)
        for i in (0, len(piece) - 1):
            one = self.element(pack(piece.form, [tensor(array[i]) for array in arrays]))
            if change(one, lambda leaf: None) != form or not all(
                _same(column[i], leaf) for column, leaf in zip(columns, leaves(one), strict=True)
            ):
                return None
        return block_of(form, columns)


def _no_lists(result: Any) -> Any:
    """A function's result, its lists as tensors, as in TensorFlow; PerElement of a stack's."""
    if is_nest(result):
        if issubclass(type(result), dict):
            return {name: _no_lists(part) for name, part in result.items()}
        parts = [_no_lists(part) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if type(result) is list:
        return np.stack([np.asarray(tensor(part)) for part in result])
    return result


def _column(leaf: Any, count: int) -> NDArray[Any]:
    """A leaf of the result for all rows; what isn't an element is the same for each."""
    if type(leaf) is Stack:
        if len(leaf.rows) != count:
            raise PerElement
        return leaf.rows
    value = np.asarray(tensor(leaf))
    return np.broadcast_to(value, (count, *value.shape))


def _same(found: Any, expected: Any) -> bool:
    """Whether two values have the same shape, dtype and bits (but for NaN)."""
    found, expected = np.asarray(tensor(found)), np.asarray(expected)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    if found.dtype.kind not in "fc":
        return found.tobytes() == expected.tobytes() or bool(np.array_equal(found, expected))
    is_equal = np.array_equal(found, expected, equal_nan=True)
    return bool(is_equal and np.array_equal(np.signbit(found.real), np.signbit(expected.real)))


def _block_of_one(element: Any) -> Block:
    parts = [np.asarray(leaf) for leaf in leaves(element)]
    columns = []
    for part in parts:
        column = np.empty((1, *part.shape), part.dtype)
        column[0] = part
        columns.append(column)
    return block_of(change(element, lambda leaf: None), columns)


def filtered(blocks: Iterable[Block], predicate: Mapped) -> Iterator[Block]:
    """The elements of which the predicate, a scalar of dtype bool, is true."""
    for piece, found in predicate.blocks(blocks):
        (holds,) = found.arrays()
        if holds.ndim != 1 or holds.dtype != np.bool_:
            raise TypeError(
                f"the predicate gives {holds.dtype} of shape {holds.shape[1:]}; it has to give one"
                " truth value, of dtype bool"
            )
        if holds.any():
            yield piece if holds.all() else piece[np.flatnonzero(holds)]
