"""Checks before the first step; each error names the culprit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.config import config
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import integer, is_masked, plain_array, several, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.imagedata import wrong_label, wrong_pixel
from tinygrad_mnist.training.device import on_host


def positive_integer(name: str, value: object) -> int:
    """`value` as an int; TypeError or ValueError, naming the argument, when it is not one."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")
    return int(value)


def positive_integers(name: str, value: object, count: int) -> tuple[int, ...]:
    """`value` as a tuple of so many ints; TypeError or ValueError, naming the argument."""
    if not isinstance(value, list | tuple | np.ndarray) or np.shape(value)[:1] != (count,):
        raise TypeError(f"{name} must be {count} integers, not {value!r}")
    return tuple(positive_integer(name, n) for n in value)


def probability(name: str, value: Any) -> float:
    """`value` as it is, if it is a number in 0..1; else TypeError or ValueError, with the name."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number in 0..1, not {shown(value)}")
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must be in 0..1, not {value}")
    return value  # type: ignore[return-value]


def check_seed(value: Any) -> int:
    """A seed of NumPy's RandomState. Raises TypeError or ValueError."""
    seed = integer(value, "seed")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; it must be in 0..2**32-1")
    return seed


def pooled_shape(
    filter_shape: Sequence[int], image_shape: Sequence[int], poolsize: Sequence[int]
) -> tuple[int, int, int]:
    """(maps, rows, columns) of an image after a convolution, valid with stride 1, and a pooling
    that drops blocks that are not full.

    filter_shape: (filters, input maps, height, width). image_shape: (images, input maps, height,
    width). poolsize: (height, width). Raises ValueError, with the shapes, where they don't fit each
    other.
    """
    filters, maps, height, width = filter_shape
    if maps != image_shape[1]:
        raise ValueError(
            f"filter_shape {filter_shape} takes {maps} input maps,"
            f" image_shape {image_shape} has {image_shape[1]}"
        )
    rows = (image_shape[2] - height + 1) // poolsize[0]
    columns = (image_shape[3] - width + 1) // poolsize[1]
    if rows < 1 or columns < 1:
        raise ValueError(
            f"images of {image_shape[2]} x {image_shape[3]} leave nothing after filters of"
            f" {height} x {width} and blocks of {poolsize[0]} x {poolsize[1]}"
        )
    return filters, rows, columns


def _check_rate(name: str, value: object) -> None:
    """A rate is a finite number, or a scalar variable, which a schedule may change."""
    if isinstance(value, Variable):
        if value.ndim != 0:
            raise TypeError(f"{name} must be a scalar; the variable has {value.ndim} dimensions")
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, not {value!r}")
    elif not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {value}")


def check_settings(
    epochs: object, mini_batch_size: object, network_size: int, eta: object, lmbda: object
) -> None:
    """Types and ranges of SGD's settings.

    Raises TypeError or ValueError, naming the setting.
    """
    positive_integer("epochs", epochs)
    if positive_integer("mini_batch_size", mini_batch_size) != network_size:
        raise ValueError(
            f"mini_batch_size is {mini_batch_size} in SGD,"
            f" but the network was made for {network_size}"
        )
    _check_rate("eta", eta)
    _check_rate("lmbda", lmbda)


def as_patience(early_stopping: Any) -> int | None:
    """The epochs without progress after which a run ends. Raises TypeError or ValueError."""
    return None if early_stopping is None else positive_integer("early_stopping", early_stopping)


def functions_of(functions: Any, name: str) -> list[Callable[..., Any]]:
    """What a run calls at its epochs. name: of the argument. Raises TypeError, naming what can't be
    called."""
    given = list(several(functions, name, "functions"))
    for one in given:
        if not callable(one):
            raise TypeError(f"{name} has {shown(one)}, which can't be called")
    return given


def check_data(
    name: str, data: Any, mini_batch_size: int, n_in: int | None, n_out: int | None
) -> None:
    """One part of the data: a pair (x, y) as load_data_shared makes it, fit for the network.

    name: the part's name for the message, such as `'training_data'`.
    n_in: pixels that the first layer takes, or None if it has no `n_in`.
    n_out: classes of the last layer, or None if it has no `n_out`.

    Raises TypeError when x or y has the wrong type for a function, ValueError when
    their sizes don't fit, a pixel is NaN or infinite, or a label is fractional or not in
    0..n_out-1; that message gives the label's value and index, or the image's number. The
    check runs before any training.
    """
    x, y = _pair(name, data)
    images = x.get_value(borrow=True)
    with on_host():
        labels = np.asarray(function([], _uncast(y), name=f"labels of {name}")())
    if len(images) != len(labels):
        raise ValueError(f"{name}: {len(images)} images, but {len(labels)} labels")
    if n_in is not None and images.shape[1] != n_in:
        raise ValueError(
            f"{name}: an image has {images.shape[1]} pixels, but the first layer takes {n_in}"
        )
    if len(images) < mini_batch_size:
        raise ValueError(
            f"{name}: mini_batch_size {mini_batch_size} is larger than the data"
            f" ({len(images)} images)"
        )
    for problem in (wrong_pixel(images), wrong_label(labels, n_out)):
        if problem is not None:
            raise ValueError(f"{name}: {problem}")


def float_pairs(splits: Any) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The images and labels of each part of a data set as arrays of floatX, each label exact.

    Raises TypeError for parts that are no pairs of arrays, ValueError for pixels that are NaN or
    infinite and for labels that floatX can't hold; the message has the image's number.
    """
    wrong = isinstance(splits, str | Mapping | Variable) or not isinstance(splits, Iterable)
    if wrong or is_masked(splits):
        raise TypeError(f"the data are {shown(splits)}; they must be pairs of images and labels")
    for number, pair in enumerate(splits):
        yield _as_floats(f"part {number} of the data", pair)


def _as_floats(name: str, pair: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise TypeError(f"{name} is {shown(pair)}; it must be a pair of images and labels")
    images, labels = (
        plain_array(given, f"{name}: {what}")
        for given, what in zip(pair, ("images", "labels"), strict=True)
    )
    if labels.ndim != 1:
        raise ValueError(f"{name}: labels are {labels.shape}; they must be (n,)")
    if "c" in (images.dtype.kind, labels.dtype.kind):
        raise TypeError(f"{name}: images and labels are real numbers, not complex ones")
    for problem in (wrong_pixel(images), wrong_label(labels)):
        if problem is not None:
            raise ValueError(f"{name}: {problem}")
    stored = np.asarray(labels, config.floatX)
    rounded = np.flatnonzero(stored != labels)
    if rounded.size:
        first = rounded[0]
        raise ValueError(f"{name}: label {labels[first]} at index {first} is too large")
    return np.asarray(images, config.floatX), stored


def _uncast(y: Variable) -> Variable:
    """The labels before they are cast to integers, which would hide fractions and NaN."""
    is_cast = y.node is not None and y.node.op.name == "cast"
    return y.node.inputs[0] if is_cast and y.node is not None else y


def _pair(name: str, data: Any) -> tuple[SharedVariable, Variable]:
    hint = "make it with load_data_shared, or with shared() and T.cast(..., 'int32')"
    if not isinstance(data, list | tuple) or len(data) != 2:
        raise TypeError(f"{name} must be a pair (x, y) of shared variables; {hint}")
    x, y = data
    if not isinstance(x, SharedVariable) or x.ndim != 2:
        raise TypeError(f"{name}: x must be a shared matrix, not {_kind(x)}; {hint}")
    if not isinstance(y, Variable) or y.ndim != 1 or y.dtype != "int32":
        raise TypeError(f"{name}: y must be a symbolic int32 vector, not {_kind(y)}; {hint}")
    if not np.can_cast(x.dtype, config.floatX, "safe"):
        raise TypeError(
            f"{name}: x is {x.dtype}, but floatX is {config.floatX}; make the data and the network"
            " under the same floatX"
        )
    return x, y


def _kind(value: Any) -> str:
    if isinstance(value, Variable):
        return f"a {value.dtype} variable of {value.ndim} dimensions"
    return type(value).__name__
