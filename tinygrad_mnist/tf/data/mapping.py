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

from tinygrad_mnist.keras.tensors import tensor
from tinygrad_mnist.tf.data.block import Block, block_of, pieces
from tinygrad_mnist.tf.data.structure import TensorSpec, change, common, leaves, pack, spec_of
from tinygrad_mnist.tf.stack import PerElement, Stack, tracing


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
        return change(_parts(_called(self._function, element)), tensor)

    def spec(self, element: Any, spec: Any) -> Any:
        """The spec of what the function gives for elements of a spec, of which one is given.

        A length that isn't the same for all elements is found by changing it: the function is
        called for the element, and for one with other lengths where the spec has None.
        """
        found = change(self.element(element), spec_of)
        if not any(s.shape is None or None in s.shape for s in leaves(spec)):
            return found
        wanted = iter(leaves(spec))
        try:
            other = change(
                self.element(change(element, lambda x: _resized(x, next(wanted)))), spec_of
            )
        except Exception:  # the function needs these lengths, so nothing is known of others
            return change(found, lambda s: s._replace(shape=None))
        return common(found, other)

    def _at_once(self, piece: Block) -> Block | None:
        """The function of all elements; None where it needs them one by one."""
        arrays = piece.arrays()
        stacks = pack(piece.form, [Stack(array) for array in arrays])
        try:
            with tracing() as trace:
                called = _parts(_called(self._function, stacks))
                columns = [_column(leaf, len(piece)) for leaf in leaves(called)]
        except (PerElement, Exception):  # an error is raised by the element that makes it
            return None
        if trace.is_refused:
            return None
        form = change(called, lambda leaf: None)
        for i in (0, len(piece) - 1):
            one = self.element(pack(piece.form, [tensor(array[i]) for array in arrays]))
            if change(one, lambda leaf: None) != form or not all(
                _same(column[i], leaf) for column, leaf in zip(columns, leaves(one), strict=True)
            ):
                return None
        return block_of(form, columns)


def _called(function: Callable[..., Any], element: Any) -> Any:
    return function(*element) if type(element) is tuple else function(element)


def _resized(x: Any, spec: TensorSpec) -> Any:
    """The array with another length of each axis where the spec has None: 1, or 2 for 1 and 0."""
    for axis, length in enumerate(spec.shape or ()):
        if length is None and x.shape[axis]:
            x = np.take(x, [0, 0] if x.shape[axis] == 1 else [0], axis)
    return x


def _parts(result: Any) -> Any:
    """A function's result; a list of parts is a tuple of them, as in TensorFlow."""
    return tuple(result) if type(result) is list else result


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
