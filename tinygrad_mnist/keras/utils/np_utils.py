"""`keras.utils.np_utils`: arrays as models take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import integer, plain_array, shown

Array = NDArray[Any]


def to_categorical(y: Any = None, num_classes: Any = None, dtype: Any = "float32", **x: Any) -> Any:
    """Labels as rows of zeros with a one: shape (…,) gives (…, num_classes).

    y (or x, as Keras 3 calls it): integers from 0 on, or floats that are integers. A last axis of
    length 1 is left out first, if there is another. num_classes: without it, the largest label + 1.

    Raises GraphTypeError for what is no number, ArgumentError, which names the first wrong label
    and where it is.
    """
    if x.keys() - {"x"} or (y is None) == (not x):
        raise GraphTypeError("to_categorical takes labels, num_classes and dtype")
    labels = _labels(x["x"] if x else y)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if not labels.size:
            raise ArgumentError("without labels num_classes is needed")
        count = int(labels.max()) + 1
    else:
        count = integer(num_classes, "num_classes", 1)
    wrong = (labels < 0) | (labels >= count)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        allowed = "from 0 on" if num_classes is None else f"in 0..{count - 1}"
        raise ArgumentError(f"label {labels[at]} {_where(at)}is not {allowed}")
    rows = np.zeros((labels.size, count), dtype)
    rows[np.arange(labels.size), labels.ravel()] = 1
    return rows.reshape(*labels.shape, count)


def _labels(value: Any) -> NDArray[np.int64]:
    array = plain_array(value, "the labels")
    if array.dtype.kind == "f":
        rounded = np.nan_to_num(np.trunc(array), posinf=0, neginf=0)
        if (rounded != array).any():
            at = tuple(int(i) for i in np.argwhere(rounded != array)[0])
            raise ArgumentError(f"label {array[at]} {_where(at)}is no integer")
        array = rounded
    elif array.dtype.kind not in "iub":
        raise GraphTypeError(f"labels are {shown(value)}; they must be integers")
    return array.astype(np.int64)


def _where(at: tuple[int, ...]) -> str:
    return f"at {at[0] if len(at) == 1 else at} " if at else ""


def normalize(x: Any, axis: int = -1, order: float = 2) -> Array:
    """x divided by its norm of that order along an axis; rows of zeros stay."""
    array = plain_array(x, "x")
    lengths = np.atleast_1d(np.linalg.norm(array, order, axis))
    lengths[lengths == 0] = 1
    return np.asarray(array / np.expand_dims(lengths, axis))
