"""`keras.metrics`: how good predictions are, as expressions.

`metric(y_true, y_pred)` is the mean over a batch; the functions give one value per sample. Of
arrays alone it is a value, a `Tensor`. Where several classes are the likeliest, the first counts,
as in `T.argmax`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.values import integer, number
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.identifiers import find
from tinygrad_mnist.keras.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    classes_of,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
    weighted,
)
from tinygrad_mnist.keras.tensors import of_arrays

# --- values per sample ----------------------------------------------------------------------------


@of_arrays
def accuracy(y_true: Any, y_pred: Any) -> Variable:
    """Whether y_true and y_pred are equal, element by element: 1 or 0 in floatX."""
    true, pred = _same_axes(y_true, y_pred)
    return T.cast(T.eq(true, pred), "floatX")


@of_arrays
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Variable:
    """Whether y_true is 1 where y_pred is above a threshold and 0 elsewhere, element by element."""
    true, pred = _same_axes(y_true, y_pred)
    is_above = T.gt(pred, number(threshold, "threshold"))
    return T.cast(T.eq(true, T.cast(is_above, true.dtype)), "floatX")


@of_arrays
def categorical_accuracy(y_true: Any, y_pred: Any) -> Variable:
    """Whether y_pred is greatest where the one-hot row of y_true is; one value per row."""
    true, pred = _rows(y_true, y_pred, "categorical_accuracy")
    return T.cast(T.eq(T.argmax(true, axis=-1), T.argmax(pred, axis=-1)), "floatX")


@of_arrays
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Variable:
    """Whether y_pred is greatest for the class y_true; one value per row."""
    pred = _with_classes(y_pred)
    true = classes_of(y_true, pred.ndim, -1, "sparse_categorical_accuracy")
    return T.cast(T.eq(true, T.argmax(pred, axis=-1)), "floatX")


@of_arrays
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Variable:
    """`sparse_top_k_categorical_accuracy` of one-hot rows."""
    true, pred = _rows(y_true, y_pred, "top_k_categorical_accuracy")
    return sparse_top_k_categorical_accuracy(T.argmax(true, axis=-1), pred, k)


@of_arrays
def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Variable:
    """Whether less than k classes have a greater y_pred than the class y_true; one value per
    row."""
    pred = _with_classes(y_pred)
    true = classes_of(y_true, pred.ndim, -1, "sparse_top_k_categorical_accuracy")
    rows = T.reshape(pred, (-1, pred.shape[-1]))
    own = rows[T.arange(rows.shape[0]), T.flatten(true)]
    greater = T.sum(T.gt(rows, T.dimshuffle(own, 0, "x")), axis=1)
    hits = T.cast(T.lt(greater, integer(k, "k", 1)), "floatX")
    return hits if pred.ndim == 2 else T.reshape(hits, true.shape, ndim=true.ndim)


# --- metrics --------------------------------------------------------------------------------------


class Metric:
    """The mean of a function of (y_true, y_pred): `metric(y_true, y_pred, sample_weight=None)`.

    `values` are those of the samples, (samples,): their sum over many batches divided by the number
    of samples is the metric of all. arguments: what the function gets besides.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **arguments: Any) -> None:
        self.fn, self.arguments = fn, arguments
        self.name = name or getattr(fn, "__name__", type(fn).__name__)

    def get_config(self) -> dict[str, Any]:
        """The arguments with which the metric was made, and its name."""
        return {"name": self.name, **self.arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """A metric made with these arguments."""
        return cls(**config)

    def values(self, y_true: Any, y_pred: Any) -> Variable:
        """One value per sample: the mean of what the function gives for it."""
        values: Variable = T.as_tensor_variable(self.fn(y_true, y_pred, **self.arguments))
        if values.ndim < 2:
            return values
        return T.mean(values, axis=tuple(range(1, values.ndim)))

    @of_arrays
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Variable:
        values = self.values(y_true, y_pred)
        if sample_weight is None:
            return T.mean(values)
        weights = T.cast(T.as_tensor_variable(sample_weight), values.dtype)
        return T.sum(weighted(values, weights)) / T.sum(weights)


class Accuracy(Metric):
    """The mean of `accuracy`."""

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(accuracy, name)


class BinaryAccuracy(Metric):
    """The mean of `binary_accuracy`."""

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, threshold=number(threshold, "threshold"))


class CategoricalAccuracy(Metric):
    """The mean of `categorical_accuracy`."""

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(categorical_accuracy, name)


class SparseCategoricalAccuracy(Metric):
    """The mean of `sparse_categorical_accuracy`."""

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(sparse_categorical_accuracy, name)


class TopKCategoricalAccuracy(Metric):
    """The mean of `top_k_categorical_accuracy`."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        super().__init__(top_k_categorical_accuracy, name, k=integer(k, "k", 1))


class SparseTopKCategoricalAccuracy(Metric):
    """The mean of `sparse_top_k_categorical_accuracy`."""

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, k=integer(k, "k", 1))


_CLASSES = {
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
}
_FUNCTIONS = {
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "binary_crossentropy": binary_crossentropy,
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
    "bce": binary_crossentropy,
}
_TABLE: dict[str, Callable[..., Any]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    **_CLASSES,
    **_FUNCTIONS,
}


def get(identifier: Any) -> Metric:
    """A metric: as it is; by its name, which it keeps as it is written; of a dict of "class_name"
    and "config"; or a function of (y_true, y_pred).

    For "accuracy" see `for_shapes`. Raises TypeError and ValueError, which list the names.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()  # type: ignore[call-arg]
    if callable(identifier):
        return Metric(identifier)
    found = find(identifier, _TABLE, "metric")
    if isinstance(found, Metric):
        return found
    metric: Metric = found() if isinstance(found, type) else Metric(found)
    metric.name = identifier
    return metric


def for_shapes(
    identifier: Any, true_shape: Sequence[int | None], pred_shape: Sequence[int | None]
) -> Metric:
    """`get`, where "accuracy" and "acc" mean the accuracy that fits the shapes of y_true and
    y_pred, samples first: of one output, the binary one; of classes, the sparse one; of one-hot
    rows, the categorical one. So does Keras."""
    if not isinstance(identifier, str) or identifier.lower() not in ("accuracy", "acc"):
        return get(identifier)
    if pred_shape[-1] == 1:
        return BinaryAccuracy(identifier)
    if len(true_shape) < len(pred_shape) or true_shape[-1] == 1:
        return SparseCategoricalAccuracy(identifier)
    return CategoricalAccuracy(identifier)


# --- operands -------------------------------------------------------------------------------------


def _with_classes(y_pred: Any) -> Variable:
    pred: Variable = T.as_tensor_variable(y_pred)
    if pred.ndim < 2:
        raise GraphTypeError(f"y_pred is {pred.type}; it has a row per sample, a column per class")
    return pred


def _rows(y_true: Any, y_pred: Any, what: str) -> tuple[Variable, Variable]:
    true, pred = T.as_tensor_variable(y_true), _with_classes(y_pred)
    if true.ndim != pred.ndim:
        raise GraphTypeError(
            f"{what} takes one-hot rows like y_pred, {pred.type}; y_true is {true.type}. "
            f"For classes as integers use sparse_{what}"
        )
    return true, pred


def _same_axes(y_true: Any, y_pred: Any) -> tuple[Variable, Variable]:
    """y_true with the axes of y_pred: (n,) beside (n, 1) is taken as (n, 1)."""
    true, pred = T.as_tensor_variable(y_true), T.as_tensor_variable(y_pred)
    if true.ndim == pred.ndim:
        return true, pred
    if abs(true.ndim - pred.ndim) != 1:
        raise GraphTypeError(f"y_true is {true.type}, y_pred {pred.type}: the axes don't fit")
    return T.reshape(true, pred.shape, ndim=pred.ndim), pred
