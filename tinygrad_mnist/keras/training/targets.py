"""Labels as the loss takes them, and the errors for those that don't fit it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import plain_array
from tinygrad_mnist.keras import losses

Tail = tuple[int, ...]


def numbers(value: Any, what: str) -> Array:
    """An array of numbers or truths with samples along its first axis. Raises GraphTypeError."""
    array = plain_array(value, what)
    if array.dtype.kind not in "biuf":
        raise GraphTypeError(f"{what} has the dtype {array.dtype}; it can be numbers or bool")
    if not array.ndim:
        raise GraphTypeError(
            f"{what} is the single number {array}; its first axis is of samples, which batch(32) "
            "makes of the elements of a dataset"
        )
    return array


def held_targets(y: Any, loss: losses.Loss | None, outputs: Tail, what: str = "y") -> Array:
    """The labels of samples, as the step takes them.

    outputs: the shape of the model's output without the batch. Of a sparse loss they are classes,
    int32; of any other, floatX. (n,) is taken as (n, 1) where the model has one output.

    Raises TypeError and ValueError for labels that don't fit the loss or the output; the message
    names the sample.
    """
    array = numbers(y, what)
    if _is(loss, losses.SparseCategoricalCrossentropy, losses.sparse_categorical_crossentropy):
        return _classes(array, outputs, what)
    if array.ndim == 1 and outputs == (1,):
        array = array[:, None]
    if _is(loss, losses.CategoricalCrossentropy, losses.categorical_crossentropy):
        _check_one_hot(array, outputs, what)
    elif loss is not None and _is_known(loss) and array.shape[1:] != outputs:
        raise ArgumentError(
            f"{what} is {array.shape}; {loss.name} compares it with the output, "
            f"{_sized(outputs)}{_hint(outputs)}"
        )
    _check_finite(array, what)
    return np.ascontiguousarray(array, dtype=config.floatX)


def _classes(array: Array, outputs: Tail, what: str) -> Array:
    n_classes = outputs[-1]
    if array.shape[1:] == (*outputs[:-1], 1):
        array = array.reshape(len(array), *outputs[:-1])
    if array.shape[1:] == outputs:
        raise ArgumentError(
            f"{what} is {array.shape}, rows like one-hot ones; sparse_categorical_crossentropy "
            f"takes a class per sample, (n,). Use categorical_crossentropy, or {what}.argmax(-1)"
        )
    if array.shape[1:] != outputs[:-1]:
        raise ArgumentError(
            f"{what} is {array.shape}; sparse_categorical_crossentropy takes a class per sample, "
            f"{_sized(outputs[:-1])}{_hint(outputs)}"
        )
    _check_finite(array, what)
    fits = (array >= 0) & (array < n_classes)
    if array.dtype.kind == "f":
        fits &= array == np.floor(array)
    if not fits.all():
        sample = int(np.argwhere(~fits)[0][0])
        wrong = array[~fits][0]
        raise ArgumentError(
            f"{what}[{sample}] is {wrong}; the model has {n_classes} outputs, so classes are the"
            f" integers 0..{n_classes - 1}"
        )
    return np.ascontiguousarray(array, dtype=np.int32)


def _check_one_hot(array: Array, outputs: Tail, what: str) -> None:
    if array.shape[1:] == outputs:
        return
    if array.shape[1:] in (outputs[:-1], (*outputs[:-1], 1)):
        raise ArgumentError(
            f"{what} is {array.shape}, a class per sample; categorical_crossentropy takes one-hot "
            f"rows, {_sized(outputs)}. Use sparse_categorical_crossentropy, or "
            f"keras.utils.to_categorical({what}, {outputs[-1]})"
        )
    raise ArgumentError(
        f"{what} is {array.shape}; the model's output is {_sized(outputs)}{_hint(outputs)}"
    )


def _check_finite(array: Array, what: str) -> None:
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        sample = int(np.argwhere(~finite)[0][0])
        raise ArgumentError(f"{what}[{sample}] is {array[~finite][0]}; labels have to be finite")


def _is(loss: losses.Loss | None, cls: type[losses.Loss], function: Any) -> bool:
    """Whether it is this loss, as a class or a function, with classes along the last axis."""
    if not isinstance(loss, losses.LossFunction) or loss.arguments.get("axis", -1) != -1:
        return False
    return isinstance(loss, cls) or loss.fn is function


def _is_known(loss: losses.Loss) -> bool:
    """Whether the loss compares a label with each element of the output."""
    return isinstance(loss, losses.LossFunction) and loss.fn in (
        losses.mean_squared_error,
        losses.mean_absolute_error,
        losses.binary_crossentropy,
    )


def _hint(outputs: Tail) -> str:
    """What may be wrong with a model whose output has several axes of features."""
    if len(outputs) < 2:
        return ""
    return f". The model's output is {_sized(outputs)}: is a Flatten missing before Dense layers?"


def _sized(tail: Tail) -> str:
    return f"(n, {', '.join(map(str, tail))})" if tail else "(n,)"
