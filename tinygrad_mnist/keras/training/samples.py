"""A user's arrays as the arrays that a step takes: images, labels and weights of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import number
from tinygrad_mnist.keras.losses import class_weights
from tinygrad_mnist.keras.training.objective import Objective
from tinygrad_mnist.keras.training.protocol import TrainableModel
from tinygrad_mnist.keras.training.targets import held_targets, numbers


@dataclass(frozen=True)
class Kind:
    """What a compiled step depends on beside the lengths: which arrays there are, their dtypes and
    their numbers of axes. y_shape: that of the labels, without the samples."""

    x_ndim: int
    y_dtype: str | None
    y_shape: tuple[int, ...] | None
    weights_ndim: int | None


@dataclass(frozen=True, eq=False)
class Samples:
    """Arrays with samples along the first axis, C-contiguous: x in the layout that the model holds,
    y as the loss takes it, weights of floatX. y and weights may be None."""

    x: Array
    y: Array | None
    weights: Array | None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def arrays(self) -> list[Array]:
        """Those that there are, in the order of a step's inputs."""
        return [a for a in (self.x, self.y, self.weights) if a is not None]

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in self.arrays)

    @property
    def kind(self) -> Kind:
        y, weights = self.y, self.weights
        return Kind(
            self.x.ndim,
            None if y is None else y.dtype.name,
            None if y is None else y.shape[1:],
            None if weights is None else weights.ndim,
        )


class Reader:
    """Makes samples of what a user gives, and checks them.

    objective: None where there are no labels, for `predict`. A model without an input shape is
    built for that of the first images.
    """

    def __init__(
        self,
        model: TrainableModel,
        objective: Objective | None,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self._model = model
        self._objective = objective
        self._class_weight = class_weight

    def read(self, x: Any, y: Any = None, sample_weight: Any = None, where: str = "") -> Samples:
        """Samples of arrays, or of what NumPy makes arrays of. where: what the arguments belong
        to, for messages, such as 'validation '.

        Raises TypeError and ValueError, which name the argument.
        """
        images = numbers(x, f"{where}x")
        if not len(images):
            raise ArgumentError(f"{where}x has no samples; its shape is {images.shape}")
        if not self._model.built:
            self._model.build((None, *images.shape[1:]))
        if self._objective is None:
            return Samples(self._model.held_input(images), None, None)
        if y is None:
            raise ArgumentError(f"{where}x comes without y, the labels")
        labels = numbers(y, f"{where}y")
        if isinstance(x, list | tuple) and len(labels) != len(images) == len(x) < 10:
            raise ArgumentError(
                f"{where}x is a list of {len(x)}, so that these are the samples, and {where}y has "
                f"{len(labels)}; a model has one input: give the array of all samples"
            )
        _check_length(labels, images, f"{where}y", f"{where}x")
        if sample_weight is not None and self._class_weight is not None:
            raise ArgumentError("class_weight and sample_weight can't be given at the same time")
        weights = None
        if self._class_weight is not None:
            weights = class_weights(labels, self._class_weight)
        elif sample_weight is not None:
            weights = numbers(sample_weight, f"{where}sample_weight")
            _check_length(weights, images, f"{where}sample_weight", f"{where}x")
        targets = held_targets(
            labels, self._objective.loss, self._model.output_shape[1:], f"{where}y"
        )
        if weights is not None:
            weights = np.ascontiguousarray(weights, dtype=config.floatX)
        return Samples(self._model.held_input(images), targets, weights)

    def read_input(self, x: Any, *ignored: Any, where: str = "") -> Samples:
        """The images of a batch, whose labels and weights don't count."""
        return self.read(x, where=where)


def split(
    x: Any, y: Any, sample_weight: Any, validation_split: Any
) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """The first part of the samples to train on, and the last part, a share `validation_split` of
    them, to validate on.

    Raises TypeError for what can't be sliced; ValueError for a share that isn't in 0..1 or that
    leaves one part without samples.
    """
    share = number(validation_split, "validation_split")
    if not 0 < share < 1:
        raise ArgumentError(f"validation_split is {share}; it must be in 0..1")
    if y is None and not isinstance(x, np.ndarray):
        raise ArgumentError("validation_split needs x and y as arrays; x is an iterable of batches")
    named = (("x", x), ("y", y), ("sample_weight", sample_weight))
    given = [None if a is None else numbers(a, name) for name, a in named]
    n = max(len(a) for a in given if a is not None)
    end = int(np.floor(n * (1 - share)))
    if end in (0, n):
        raise ArgumentError(
            f"validation_split is {share}: of {n} samples, {end} are left to train and {n - end} to"
            " validate"
        )
    first = [None if a is None else a[:end] for a in given]
    last = [None if a is None else a[end:] for a in given]
    return (first[0], first[1], first[2]), (last[0], last[1], last[2])


def stacked(batches: list[Samples]) -> list[Array]:
    """The arrays of equally shaped batches, with a leading axis of steps."""
    if len(batches) == 1:
        return [a[None] for a in batches[0].arrays]
    return [np.stack(arrays) for arrays in zip(*(b.arrays for b in batches), strict=True)]


def _check_length(array: Array, images: Array, what: str, other: str) -> None:
    if len(array) != len(images):
        raise ArgumentError(
            f"{other} has {len(images)} samples and {what} has {len(array)}; their shapes are "
            f"{images.shape} and {array.shape}"
        )
