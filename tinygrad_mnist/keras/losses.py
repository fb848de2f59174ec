"""`keras.losses`: costs of predictions, as expressions.

`loss(y_true, y_pred)` is a scalar; the functions give one value per sample. y_true and y_pred are
variables or arrays, with samples along the first axis; of arrays alone it is a value, a `Tensor`.

Cross-entropies of a softmax or a sigmoid, however it is written, are computed from what is in its
exponentials (docs/stability.md), so they and their gradients are finite. Other probabilities are
scaled to the sum 1, where they are of categories, and clipped to 1e-7..1 - 1e-7, as Keras does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import (
    axis_number,
    choice,
    flag,
    integer,
    number,
    plain_array,
    shown,
)
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.identifiers import find
from tinygrad_mnist.keras.tensors import of_arrays
from tinygrad_mnist.optimizers.base import fraction, not_negative
from tinygrad_mnist.stability.forms import Form, Pieces, Share, Sigmoid
from tinygrad_mnist.stability.readers import READERS
from tinygrad_mnist.stability.recognise import Recogniser

_EPSILON = 1e-7  # Keras's: how near a probability of unknown origin may be to 0 and 1
_LEAST_SUM = 1e-30  # of a row that is scaled: 1 / sum, its slope, is finite in float32
_REDUCTIONS = ("sum_over_batch_size", "sum", "none", "mean", "mean_with_sample_weight")

# --- values per sample ----------------------------------------------------------------------------


@of_arrays
def mean_squared_error(y_true: Any, y_pred: Any) -> Variable:
    """The mean of (y_true - y_pred)^2 over the last axis."""
    true, pred = _alike(y_true, y_pred)
    return _mean_of_last(T.sqr(true - pred))


@of_arrays
def mean_absolute_error(y_true: Any, y_pred: Any) -> Variable:
    """The mean of |y_true - y_pred| over the last axis."""
    true, pred = _alike(y_true, y_pred)
    return _mean_of_last(abs(true - pred))


@of_arrays
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Variable:
    """-sum(y_true * log(y_pred)) over an axis, that of the classes.

    y_true: the wanted probabilities, such as one-hot rows; label_smoothing moves them towards equal
    ones. y_pred: probabilities, or with `from_logits` what a softmax is taken of; its shape is that
    of y_true.

    Raises GraphTypeError where the numbers of axes differ.
    """
    pred = _floats(y_pred)
    true = T.cast(T.as_tensor_variable(y_true), pred.dtype)
    if true.ndim != pred.ndim:
        raise GraphTypeError(
            f"categorical_crossentropy takes one-hot rows like y_pred, {pred.type}; y_true is "
            f"{true.type}. For classes as integers use sparse_categorical_crossentropy"
        )
    true, pred = (_classes_last(v, axis) for v in (true, pred))
    smoothing = fraction(label_smoothing, "label_smoothing", end=True)
    if smoothing:
        n_classes = T.cast(true.shape[-1], pred.dtype)
        true = true * (1 - smoothing) + smoothing / n_classes
    return -T.sum(true * _log_probabilities(pred, from_logits), axis=pred.ndim - 1)


@of_arrays
def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, axis: int = -1
) -> Variable:
    """-log of the probability that y_pred gives the class y_true.

    y_true: integers, an axis less than y_pred has, or that axis with length 1. They are indices:
    one out of range is an IndexError when a function runs, and -1 is the last class. y_pred: as for
    `categorical_crossentropy`. Raises GraphTypeError where the axes don't fit.
    """
    pred = _classes_last(_floats(y_pred), axis)
    true = classes_of(y_true, pred.ndim, axis, "sparse_categorical_crossentropy")
    logarithms = _log_probabilities(pred, from_logits)
    if pred.ndim != 2:
        logarithms = T.reshape(logarithms, (-1, pred.shape[-1]))
    found = -logarithms[T.arange(logarithms.shape[0]), T.flatten(true)]
    return found if pred.ndim == 2 else T.reshape(found, true.shape, ndim=true.ndim)


@of_arrays
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Variable:
    """The mean over an axis of -(y_true * log(y_pred) + (1 - y_true) * log(1 - y_pred)).

    y_true: the wanted probabilities; label_smoothing moves them towards 1/2. y_pred: probabilities,
    or with `from_logits` what a sigmoid is taken of.
    """
    true, pred = _alike(y_true, y_pred)
    smoothing = fraction(label_smoothing, "label_smoothing", end=True)
    if smoothing:
        true = true * (1 - smoothing) + 0.5 * smoothing
    if flag(from_logits, "from_logits"):
        values = T.nnet.nnet.sigmoid_binary_crossentropy(pred, true)
    else:
        is_stable = _is_made_of(_form(pred), Sigmoid, Share)
        sure = pred if is_stable else T.clip(pred, _EPSILON, 1 - _EPSILON)
        values = T.nnet.binary_crossentropy(sure, true)
    return _mean_of_last(values, axis)


# --- losses ---------------------------------------------------------------------------------------


class Loss:
    """A cost: `loss(y_true, y_pred, sample_weight=None)`.

    reduction: of the values of the samples, each times its weight. 'sum_over_batch_size' or 'mean'
    divides their sum by their number, 'mean_with_sample_weight' by the sum of the weights; 'sum';
    'none' or None. A subclass defines `call(y_true, y_pred)`, the values.
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size"
    ) -> None:
        self.name = name or type(self).__name__
        named = "none" if reduction is None else reduction
        self.reduction = choice(named, _REDUCTIONS, "reduction")

    def call(self, y_true: Any, y_pred: Any) -> Variable:
        """One value per sample."""
        raise NotImplementedError(f"{type(self).__name__} has to define call(y_true, y_pred)")

    @of_arrays
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Variable:
        values: Variable = T.as_tensor_variable(self.call(y_true, y_pred))
        weights = None if sample_weight is None else T.as_tensor_variable(sample_weight)
        if weights is not None:
            weights = T.cast(weights, values.dtype)
            values = weighted(values, weights)
        if self.reduction == "none":
            return values
        if self.reduction == "sum":
            return T.sum(values)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            return T.sum(values) / T.sum(weights)
        return T.mean(values)


class LossFunction(Loss):
    """A function of (y_true, y_pred) as a loss, with arguments that it gets besides."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", type(fn).__name__), reduction)
        self.fn, self.arguments = fn, arguments

    def get_config(self) -> dict[str, Any]:
        """The arguments with which the loss was made."""
        return {"name": self.name, "reduction": self.reduction, **self.arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """A loss made with these arguments."""
        return cls(**config)

    def call(self, y_true: Any, y_pred: Any) -> Variable:
        values: Variable = T.as_tensor_variable(self.fn(y_true, y_pred, **self.arguments))
        return values


class MeanSquaredError(LossFunction):
    """The mean of `mean_squared_error`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "mean_squared_error"
    ) -> None:
        super().__init__(mean_squared_error, reduction, name)


class MeanAbsoluteError(LossFunction):
    """The mean of `mean_absolute_error`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "mean_absolute_error"
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name)


class CategoricalCrossentropy(LossFunction):
    """The mean of `categorical_crossentropy`, with its arguments."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ) -> None:
        arguments = _crossentropy_arguments(from_logits, axis, label_smoothing)
        super().__init__(categorical_crossentropy, reduction, name, **arguments)


class SparseCategoricalCrossentropy(LossFunction):
    """The mean of `sparse_categorical_crossentropy`, with its arguments."""

    def __init__(
        self,
        from_logits: bool = False,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        arguments = _crossentropy_arguments(from_logits, axis)
        super().__init__(sparse_categorical_crossentropy, reduction, name, **arguments)


class BinaryCrossentropy(LossFunction):
    """The mean of `binary_crossentropy`, with its arguments."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ) -> None:
        arguments = _crossentropy_arguments(from_logits, axis, label_smoothing)
        super().__init__(binary_crossentropy, reduction, name, **arguments)


def _crossentropy_arguments(
    from_logits: bool, axis: int, smoothing: float | None = None
) -> dict[str, Any]:
    """Checked where the loss is made, not when it is first used."""
    arguments: dict[str, Any] = {
        "from_logits": flag(from_logits, "from_logits"),
        "axis": integer(axis, "axis"),
    }
    if smoothing is not None:
        arguments["label_smoothing"] = fraction(smoothing, "label_smoothing", end=True)
    return arguments


_TABLE: dict[str, type[Loss]] = {
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
}


def get(identifier: Any) -> Loss:
    """A loss: as it is; by its name, that of its class or of its function; of a dict of
    "class_name" and "config"; or a function of (y_true, y_pred).

    Raises TypeError and ValueError, which list the names.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        return LossFunction(identifier)
    found = find(identifier, _TABLE, "loss")
    return found if isinstance(found, Loss) else found()


# --- weights of samples ---------------------------------------------------------------------------


def class_weights(y_true: Any, class_weight: Mapping[int, float]) -> NDArray[Any]:
    """The weight of each sample by its class, float64 (samples,).

    y_true: an array of classes, (samples,) or (samples, 1), or of one-hot rows. class_weight: the
    weight of each class; one that it lacks has weight 1, as in Keras.

    Raises TypeError and ValueError for weights that are none.
    """
    if not isinstance(class_weight, Mapping):
        raise GraphTypeError(f"class_weight is {shown(class_weight)}; it is a dict, class: weight")
    array = plain_array(y_true, "y_true")
    if array.ndim == 2 and array.shape[1] > 1:
        classes = array.argmax(axis=1)
    elif array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        classes = array.reshape(-1)
    else:
        raise ArgumentError(f"class_weight needs a class per sample; y_true is {array.shape}")
    weights = np.ones(len(classes))
    for label, weight in class_weight.items():
        checked = not_negative(number(weight, "a weight in class_weight"), "a class's weight")
        weights[classes == integer(label, "a class in class_weight", 0)] = checked
    return weights


def weighted(values: Variable, weights: Variable) -> Variable:
    """Values, each times the weight of its sample.

    weights: (samples,), (samples, 1), or as many axes as the values. Raises GraphTypeError.
    """
    if weights.ndim == values.ndim + 1:
        weights = T.flatten(weights, values.ndim) if values.ndim else weights
    if weights.ndim > values.ndim:
        raise GraphTypeError(f"sample_weight is {weights.type}; the values are {values.type}")
    missing = values.ndim - weights.ndim
    return values * T.dimshuffle(weights, *range(weights.ndim), *("x",) * missing)


# --- operands -------------------------------------------------------------------------------------


def classes_of(y_true: Any, ndim: int, axis: int, what: str) -> Variable:
    """Classes as integers, with an axis less than predictions of `ndim` axes. Raises
    GraphTypeError."""
    true = T.as_tensor_variable(y_true)
    if true.ndim == ndim:  # the axis of the classes has length 1, or this fails when it is computed
        true = T.reshape(true, _without(true, axis_number(axis, ndim)), ndim=ndim - 1)
    if true.ndim != ndim - 1:
        raise GraphTypeError(
            f"{what} takes a class per sample, with {ndim - 1} axes here; y_true is {true.type}"
        )
    is_integer = true.type.is_discrete and true.dtype != "bool"  # a bool would be a mask
    return true if is_integer else T.cast(true, "int64")


def _without(v: Variable, axis: int) -> list[Variable]:
    return [v.shape[i] for i in range(v.ndim) if i != axis]


def _floats(y_pred: Any) -> Variable:
    pred = T.as_tensor_variable(y_pred)
    if not pred.ndim:
        raise GraphTypeError("y_pred is a scalar; it has samples along its first axis")
    return pred if pred.type.is_float else T.cast(pred, "floatX")


def _alike(y_true: Any, y_pred: Any) -> tuple[Variable, Variable]:
    """y_true in the dtype and with the axes of y_pred: (n,) beside (n, 1) is taken as (n, 1)."""
    pred = _floats(y_pred)
    true = T.cast(T.as_tensor_variable(y_true), pred.dtype)
    if true.ndim == pred.ndim:
        return true, pred
    if abs(true.ndim - pred.ndim) != 1:
        raise GraphTypeError(f"y_true is {true.type}, y_pred {pred.type}: the axes don't fit")
    return T.reshape(true, pred.shape, ndim=pred.ndim), pred


def _mean_of_last(values: Variable, axis: int = -1) -> Variable:
    return T.mean(values, axis=axis_number(axis, values.ndim))


def _classes_last(v: Variable, axis: int) -> Variable:
    """The variable with the axis of the classes moved to the end."""
    position = axis_number(axis, v.ndim)
    if position == v.ndim - 1:
        return v
    return T.dimshuffle(v, *(i for i in range(v.ndim) if i != position), position)


def _log_probabilities(pred: Variable, from_logits: bool) -> Variable:
    """The logarithms of probabilities along the last axis, or of the softmax of logits."""
    if flag(from_logits, "from_logits"):
        return T.nnet.logsoftmax(pred)
    total = T.sum(pred, axis=pred.ndim - 1, keepdims=True)
    form = _form(pred)
    if isinstance(form, Share) and form.axes == (pred.ndim - 1,) and _is_made_of(form, Share):
        return T.log(pred)
    if _is_made_of(form, Share):  # over axes that views have moved, or joined with others
        return T.log(pred) - T.log(T.maximum(total, _EPSILON))
    scaled = pred / T.switch(abs(total) < _LEAST_SUM, 1, total)
    return T.log(T.clip(scaled, _EPSILON, 1 - _EPSILON))


def _form(pred: Variable) -> Form | None:
    return Recogniser((), READERS).form(pred)


def _is_made_of(form: Form | None, *kinds: type[Form]) -> bool:
    """Whether a form is one of these kinds, without a factor, or views and joins of such."""
    if isinstance(form, Pieces):
        return all(_is_made_of(part, *kinds) for part, _ in form.parts)
    return isinstance(form, kinds) and isinstance(form, Share | Sigmoid) and form.factor == 1.0


MSE = mse = mean_squared_error
MAE = mae = mean_absolute_error
BCE = bce = binary_crossentropy
