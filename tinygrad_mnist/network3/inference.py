"""What a trained network says of images: its answers, how sure it is, and where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.config import config
from tinygrad_mnist.functions import Function, function
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import plain_array, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.imagedata import wrong_label, wrong_pixel
from tinygrad_mnist.network3.gpu import on_wanted_device
from tinygrad_mnist.training.device import on_host

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a network answers for images whose labels are known.

    accuracy: fraction of right answers. cost: mean of -log of the probability that the label gets,
    without L2 regularisation; None for a last layer that is no SoftmaxLayer. confusion: int64
    (classes, classes), how many images of a label (row) got an answer (column). wrong: numbers of
    the images that are answered wrongly, ascending. predictions, labels: int64 (images,).
    """

    accuracy: float
    cost: float | None
    confusion: Array
    wrong: Array
    predictions: Array
    labels: Array

    def __repr__(self) -> str:
        cost = "" if self.cost is None else f", cost {self.cost:.4f}"
        n = len(self.labels)
        return f"Evaluation(accuracy {self.accuracy:.2%}{cost}, {len(self.wrong):,} wrong of {n:,})"


class Answers:
    """Expressions of a network's inference, computed for any number of images: the last mini-batch
    is filled up.

    x: the network's input. wanted: variables with a mini-batch along the first axis.
    """

    def __init__(self, x: Variable, wanted: Sequence[Variable], mini_batch_size: int) -> None:
        self._size = mini_batch_size
        with on_wanted_device():
            self._of_batch: Function = function([x], list(wanted), name="predict")

    def of(self, rows: Array) -> list[Array]:
        """The values of each expression for images (n, pixels)."""
        n, pixels = rows.shape
        batches = max(1, -(-n // self._size))
        filled = np.zeros((batches * self._size, pixels), config.floatX)
        filled[:n] = rows
        results = self._of_batch.sweep(filled.reshape(batches, self._size, pixels))
        for result in results:
            if result.shape[1:2] != (self._size,):
                raise ValueError(
                    f"the last layer gives an array {result.shape[1:]} for a mini-batch of"
                    f" {self._size} images; its first axis must have the images"
                )
        return [r.reshape(batches * self._size, *r.shape[2:])[:n] for r in results]


def rows_of(images: Any, pixels: int | None) -> tuple[Array, bool]:
    """Images as a floatX array (n, pixels), and whether they are one image without the first axis.

    pixels: of an image; None if the network doesn't say. Raises TypeError for what are no images,
    ValueError for an image with another number of pixels, or one that in floatX is NaN or infinite.
    """
    array = _numbers(images)
    is_one = array.ndim == 1
    if pixels is not None:
        is_one = array.size == pixels and math.prod(array.shape[1:]) != pixels
        if not is_one and array.shape != (0,) and math.prod(array.shape[1:]) != pixels:
            raise ValueError(
                f"images of shape {array.shape}: the first layer takes {pixels} pixels an image"
            )
    n = 1 if is_one else len(array)
    width = pixels or (array.size if is_one else math.prod(array.shape[1:]))
    with np.errstate(over="ignore"):
        rows = array.reshape(n, width).astype(config.floatX)
    if problem := wrong_pixel(rows):
        raise ValueError(problem)
    return rows, is_one


def _numbers(images: Any) -> Array:
    """Raises TypeError for what are no images, ValueError for bytes in place of numbers in 0..1."""
    if isinstance(images, SharedVariable):
        images = images.get_value(borrow=True)
    if isinstance(images, Variable):
        raise TypeError(f"images is {shown(images)}; it must be an array or a shared variable")
    array = plain_array(images, "images")
    if array.ndim == 0 or array.dtype.kind == "c":
        raise TypeError(f"images is {shown(images)}; it must be an array of images")
    if array.dtype.kind in "iu" and array.size and array.max() > 1:
        raise ValueError(
            f"images are {array.dtype}, up to {array.max()}; the network takes floats in 0..1:"
            " divide by 256"
        )
    return array


def pair_of(data: Any) -> tuple[Any, Any]:
    """Images and labels. Raises TypeError for what is no pair."""
    if not isinstance(data, list | tuple) or len(data) != 2:
        raise TypeError(f"data is {shown(data)}; it must be a pair of images and labels")
    images, labels = data
    return images, labels


def labels_of(labels: Any, classes: int | None) -> Array:
    """Labels as int64 (n,). Raises TypeError or ValueError, which names the label."""
    if isinstance(labels, Variable):
        with on_host():
            labels = function([], labels, name="labels")()
    array = plain_array(labels, "labels")
    if array.ndim != 1 or array.dtype.kind not in "iufb":
        raise TypeError(f"labels are {array.dtype} of shape {array.shape}; they must be a vector")
    if problem := wrong_label(array, classes):
        raise ValueError(problem)
    return array.astype(np.int64)


def evaluation(
    predictions: Array, labels: Array, classes: int | None, costs: Array | None
) -> Evaluation:
    """The figures of answers to images with these labels. classes: how many there are at least.
    costs: of each image.

    Raises TypeError or ValueError for labels and answers that are no numbers of classes.
    """
    for name, numbers in (("label", labels), ("answer", predictions)):
        if numbers.dtype.kind not in "iub" or numbers.ndim != 1:
            raise TypeError(
                f"{name}s are {numbers.dtype} of shape {numbers.shape}; to be evaluated, they must"
                " be a vector of integers"
            )
        if numbers.min(initial=0) < 0:
            raise ValueError(f"the {name} {numbers.min()} is no number of a class")
    most = max(classes or 1, int(labels.max(initial=0)) + 1, int(predictions.max(initial=0)) + 1)
    confusion = np.zeros((most, most), np.int64)
    np.add.at(confusion, (labels, predictions.astype(np.int64)), 1)
    right = predictions == labels
    return Evaluation(
        accuracy=float(np.mean(right)),
        cost=None if costs is None else float(np.mean(costs)),
        confusion=confusion,
        wrong=np.flatnonzero(~right),
        predictions=predictions,
        labels=labels,
    )
