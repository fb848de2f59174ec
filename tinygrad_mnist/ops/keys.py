"""Keys: the index in `x[...]`, as entries and operands of a node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.errors import AxisError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable, has_variables
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import BOOL, INTEGERS
from tinygrad_mnist.graph.values import is_integer, plain_array
from tinygrad_mnist.graph.variables import Constant, Variable, described
from tinygrad_mnist.ops.nonzero import mask_indices
from tinygrad_mnist.ops.shape import MAX_INT64, as_integer_scalar

# One entry of a node's `index` per item of the key, with the operands that follow the array:
#   ("slice", has_start, has_stop, step)   a bound each           keeps an axis; the step is an int,
#                                                                 or None if it is an operand too
#   ("index",)                             an integer scalar      takes one element of an axis
#   ("array",)                             an integer array       picks from an axis
#   ("new",)                                                      adds an axis of length 1
#   ("gap",)                                                      `...` that covers no axis
Entry = tuple[Any, ...]
FULL: Entry = ("slice", False, False, 1)


def with_operands(
    index: Sequence[Entry], given: Sequence[Any]
) -> list[tuple[Entry, tuple[Any, ...]]]:
    """Each entry with its operands."""
    pairs = []
    used = 0
    for entry in index:
        if entry[0] == "slice":
            count = entry[1] + entry[2] + (entry[3] is None)
        else:
            count = entry[0] in ("index", "array")
        pairs.append((entry, tuple(given[used : used + count])))
        used += count
    return pairs


def key_text(index: Sequence[Entry], operands: Sequence[str]) -> str:
    """The key as it is written, `[1:, i]`; operands: the texts of its operands."""
    entries = []
    for entry, given in with_operands(index, operands):
        texts = list(given)
        if entry[0] == "slice":
            _, has_start, has_stop, step = entry
            start = texts.pop(0) if has_start else ""
            stop = texts.pop(0) if has_stop else ""
            step = texts.pop(0) if step is None else step
            entries.append(f"{start}:{stop}" + (f":{step}" if step != 1 else ""))
        else:
            entries.append({"new": "None", "gap": "..."}.get(entry[0]) or texts[0])
    while len(entries) > 1 and entries[-1] == ":":
        entries.pop()
    return f"[{', '.join(entries)}]"


def array_position(index: Sequence[Entry]) -> int:
    """The position in the result where the axes of index arrays are inserted (NumPy's rule): that
    of the arrays if they are adjacent, else 0. Single indices beside arrays count as arrays."""
    if ("array",) not in index:
        return 0
    arrays = [i for i, entry in enumerate(index) if entry[0] in ("array", "index")]
    if arrays[-1] - arrays[0] + 1 != len(arrays):
        return 0
    return sum(entry[0] in ("slice", "new") for entry in index[: arrays[0]])


def _is_array(item: Any) -> bool:
    if isinstance(item, Variable):
        return item.ndim > 0
    return isinstance(item, list | tuple) or (isinstance(item, np.ndarray) and item.ndim > 0)


def _expand(key: tuple[Any, ...], ndim: int) -> list[Any]:
    """One item per axis (and None per new axis): Ellipsis and omitted axes become `:`."""
    used = sum(item is not None and item is not Ellipsis for item in key)
    if used > ndim:
        raise AxisError(f"{used} indices for {ndim} dimensions")
    if sum(item is Ellipsis for item in key) > 1:
        raise GraphTypeError("an index has more than one '...'")
    fill: list[Any] = [slice(None)] * (ndim - used)
    if any(item is Ellipsis for item in key):
        at = next(i for i, item in enumerate(key) if item is Ellipsis)
        return [*key[:at], *(fill or [Ellipsis]), *key[at + 1 :]]
    return [*key, *fill]


def _slice_entry(item: slice) -> tuple[Entry, list[Variable]]:
    step: Any = 1 if item.step is None else item.step
    if isinstance(step, Constant):
        step = step.value[()]
    is_symbolic = isinstance(step, Variable) and step.ndim == 0 and step.dtype in INTEGERS
    if not is_integer(step) and not is_symbolic:
        raise GraphTypeError(f"{described(step)}; the step of a slice must be a nonzero integer")
    if not is_symbolic and step == 0:
        raise GraphTypeError(
            f"the step of a slice must be a nonzero integer, not 0{at(user_source())}"
        )
    bounds = [
        as_integer_scalar(_within_int64(b), "a slice bound")
        for b in (item.start, item.stop)
        if b is not None
    ]
    given = (item.start is not None, item.stop is not None)
    if is_symbolic:
        return ("slice", *given, None), [*bounds, step]
    return ("slice", *given, int(step)), bounds


def _within_int64(bound: Any) -> Any:
    """A bound that is a number beyond all lengths as one that int64 has."""
    if type(bound) is int or isinstance(bound, np.integer):
        return max(-MAX_INT64, min(int(bound), MAX_INT64))
    return bound


class _MaskPart(NamedTuple):
    """A boolean mask in a key, as one of the index vectors that it stands for."""

    mask: Variable
    number: int


def _without_masks(key: tuple[Any, ...]) -> Iterator[Any]:
    """The items of a key; for each mask, one for each of its axes."""
    for item in key:
        if _is_array(item):
            array = _array(item)
            if array.dtype == BOOL:
                yield from (_MaskPart(array, number) for number in range(array.ndim))
                continue
        yield item


def _array(item: Any) -> Variable:
    """An index array as a variable."""
    if not has_variables(item):
        item = plain_array(item, "an index")
        if item.size == 0 and item.dtype == "float64":  # an empty list
            item = item.astype("int64")
    return as_variable(item)


def _index_array(item: Any) -> Variable:
    array = _array(item)
    if array.dtype not in INTEGERS:
        raise GraphTypeError(
            f"an index array must hold integers, not {array.dtype}{at(user_source())}"
        )
    return array


def parse_key(key: Any, x: Variable) -> tuple[tuple[Entry, ...], list[Variable]]:
    """The entries of a key for the array `x`, and their operands."""
    index: list[Entry] = []
    operands: list[Variable] = []
    vectors: list[Variable] = []  # of the mask that comes at present
    items = _without_masks(key if isinstance(key, tuple) else (key,))
    for item in _expand(tuple(items), x.ndim):
        if isinstance(item, _MaskPart):
            if item.number == 0:
                axis = sum(entry[0] in ("slice", "index", "array") for entry in index)
                vectors = mask_indices(item.mask, x, axis)
            index.append(("array",))
            operands.append(vectors[item.number])
        elif item is None:
            index.append(("new",))
        elif item is Ellipsis:
            index.append(("gap",))
        elif isinstance(item, slice):
            entry, bounds = _slice_entry(item)
            index.append(entry)
            operands.extend(bounds)
        elif _is_array(item):
            index.append(("array",))
            operands.append(_index_array(item))
        else:
            index.append(("index",))
            operands.append(as_integer_scalar(item, "an index"))
    return tuple(index), operands
