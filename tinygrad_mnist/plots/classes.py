"""Pictures of what a classifier answers: images with their labels, and its confusion matrix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinygrad_mnist.errors import ArgumentError, GraphTypeError, ShapeError
from tinygrad_mnist.graph.values import integer, plain_array, shown
from tinygrad_mnist.plots import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POINT = 1 / 72  # inches
_FONT = 9  # points
_LINE = 1.35 * _FONT * _POINT
_LETTER = 0.62 * _FONT * _POINT  # the mean width of one, with some room
_TILE = 0.8  # inches
_MOST_COUNTS = 25  # classes of a confusion matrix whose numbers are written


def plot_digits(
    images: ArrayLike,
    predictions: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    n: int = 24,
    only_wrong: bool = False,
    columns: int | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draws images with the predicted class below each; a wrong one is red and framed, with the
    true class under it.

    images: (images, height, width), with 1 or 3 channels behind, or flat (images, pixels) where
    they are square. predictions: classes, (images,), or probabilities, (images, classes). labels:
    the true classes, or one-hot rows; without predictions they are what is written. path: where the
    picture is saved. n: how many images are drawn at most. only_wrong: only those with a wrong
    prediction. columns: images per row. names: those of the classes, in place of numbers.

    Raises GraphTypeError, ArgumentError and ShapeError for wrong arguments, OSError, ImportError
    without matplotlib.
    """
    tiles = _images(images)
    predicted, true = _classes(predictions, "predictions"), _classes(labels, "labels")
    for classes, what in ((predicted, "predictions"), (true, "labels")):
        if classes is not None and len(classes) != len(tiles):
            raise ShapeError(f"there are {len(classes)} {what} for {len(tiles)} images")
    wrong = np.zeros(len(tiles), bool)
    if predicted is not None and true is not None:
        wrong = np.not_equal(predicted, true)
    elif only_wrong:
        raise GraphTypeError("only_wrong needs predictions and labels")
    chosen = (np.flatnonzero(wrong) if only_wrong else np.arange(len(tiles)))[: integer(n, "n", 1)]
    texts = [""] * len(chosen)
    written = true if predicted is None else predicted
    if written is not None:
        texts = [_name(written[i], names) for i in chosen]
    if true is not None:
        notes = [f"\nnot {_name(true[i], names)}" if wrong[i] else "" for i in chosen]
        texts = [text + note for text, note in zip(texts, notes, strict=True)]
    figure = _draw_tiles(tiles[chosen], texts, wrong[chosen], columns)
    return figures.finished(figure, path)


def plot_confusion_matrix(
    labels: ArrayLike,
    predictions: ArrayLike,
    path: str | os.PathLike[str] | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draws how often images of each class (rows) are taken for each class (columns). The colours
    are those of the errors; right answers, on the diagonal, are grey.

    labels: the true classes, (images,), or one-hot rows. predictions: classes, or probabilities,
    (images, classes). path: where the picture is saved. names: those of the classes.

    Raises GraphTypeError, ArgumentError and ShapeError for wrong arguments, OSError, ImportError
    without matplotlib.
    """
    counts = confusion_matrix(labels, predictions, len(names) if names is not None else 0)
    classes = len(counts)
    right, total = int(np.trace(counts)), int(counts.sum())
    written = classes <= _MOST_COUNTS
    size = max(0.45 * classes, 3.0) if written else min(0.12 * classes + 3, 12.0)
    figure = figures.new_figure(size + 1.6, size + 1.2, layout="constrained")
    ax = figure.subplots()
    errors = np.where(np.eye(classes, dtype=bool), np.nan, counts)
    most = max(np.nanmax(errors, initial=0), 1)
    ax.set_facecolor("#D9D9D9")
    ax.grid(False)  # whatever the user's style
    image = ax.imshow(errors, cmap="Oranges", vmin=0, vmax=most)
    bar = figure.colorbar(image, ax=ax, label="errors", shrink=0.8)
    bar.ax.locator_params(axis="y", integer=True)
    if written:
        for row, column in np.ndindex(classes, classes):
            count = int(counts[row, column])
            if count:
                dark = row != column and count > 0.75 * most
                ax.text(
                    *(column, row, f"{count:,}"),
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                    fontsize=_FONT - 1 if count < 10_000 else _FONT - 2,
                )
    _label_axes(ax, classes, names)
    ax.set_title(
        f"{right / max(total, 1):.2%} right, {total - right:,} of {total:,} wrong",
        fontsize="medium",
    )
    return figures.finished(figure, path)


def confusion_matrix(
    labels: ArrayLike, predictions: ArrayLike, classes: int = 0
) -> NDArray[np.int64]:
    """counts[i, j]: how many images of class i are taken for class j. classes: how many there are
    at least. Raises GraphTypeError, ArgumentError and ShapeError."""
    true, predicted = _classes(labels, "labels"), _classes(predictions, "predictions")
    if true is None or predicted is None or len(true) != len(predicted):
        raise ShapeError(f"labels and predictions differ: {shown(true)} and {shown(predicted)}")
    if not len(true):
        raise ArgumentError("there are no labels")
    classes = max(classes, int(true.max()) + 1, int(predicted.max()) + 1)
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _label_axes(ax: Any, classes: int, names: Sequence[str] | None) -> None:
    texts = [_name(i, names) for i in range(classes)]
    if classes <= _MOST_COUNTS:
        upright = max(map(len, texts)) > 3
        ax.set_xticks(
            range(classes),
            texts,
            rotation=45 if upright else 0,
            ha="right" if upright else "center",
        )
        ax.set_yticks(range(classes), texts)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")


def _draw_tiles(
    tiles: NDArray[Any], texts: Sequence[str], wrong: NDArray[np.bool_], columns: int | None
) -> Figure:
    """Images in a grid, each with a text of one or two lines below it."""
    if not len(tiles):
        raise ArgumentError("there are no images to draw")
    if columns is None:
        columns = min(len(tiles), max(8, int(np.sqrt(2 * len(tiles)))))
    columns = integer(columns, "columns", 1)
    rows = -(-len(tiles) // columns)
    lines = max(text.count("\n") + bool(text) for text in texts)
    letters = max(len(line) for text in texts for line in text.split("\n"))
    across = max(_TILE, letters * _LETTER) + 0.12
    down = _TILE * tiles.shape[1] / tiles.shape[2] + lines * _LINE + 0.12
    figure = figures.new_figure(columns * across, rows * down)
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, columns * across), ylim=(rows * down, 0))
    ax.set_axis_off()
    low, high = (0, 255) if tiles.dtype == np.uint8 else (float(tiles.min()), float(tiles.max()))
    height = _TILE * tiles.shape[1] / tiles.shape[2]
    for i, (tile, text) in enumerate(zip(tiles, texts, strict=True)):
        left = i % columns * across + (across - _TILE) / 2
        top = i // columns * down + 0.06
        box = (left, left + _TILE, top + height, top)
        ax.imshow(tile, cmap="gray_r", vmin=low, vmax=high, extent=box, aspect="auto")
        color = figures.WRONG if wrong[i] else "#B0B0B0"
        xs, ys = [box[0], box[1], box[1], box[0], box[0]], [top, top, box[2], box[2], top]
        ax.plot(xs, ys, color=color, linewidth=2 if wrong[i] else 0.5)
        ax.text(
            *(left + _TILE / 2, box[2] + 0.04, text),
            ha="center",
            va="top",
            fontsize=_FONT,
            color=figures.WRONG if wrong[i] else None,
            weight="bold" if wrong[i] else "normal",
        )
    ax.set_xlim(0, columns * across)
    ax.set_ylim(rows * down, 0)
    return figure


def _images(images: ArrayLike) -> NDArray[Any]:
    """Images as (images, height, width) or (images, height, width, 3)."""
    array = plain_array(images, "images")
    if array.dtype.kind not in "buif":
        raise GraphTypeError(f"images has the dtype {array.dtype}; they are numbers")
    if array.ndim == 2 and (side := round(float(np.sqrt(array.shape[1])))) ** 2 == array.shape[1]:
        return array.reshape(-1, side, side)
    if array.ndim == 4 and array.shape[3] == 1:
        return array[..., 0]
    if array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3):
        return array
    raise ShapeError(
        f"images has the shape {array.shape}; it can be (images, height, width), with 1 or 3 "
        "channels behind, or (images, pixels) of square images"
    )


def _classes(values: ArrayLike | None, what: str) -> NDArray[np.int64] | None:
    """Classes as numbers: as they are, or where each row is greatest."""
    if values is None:
        return None
    array = plain_array(values, what)
    if array.ndim == 2:
        array = array[:, 0] if array.shape[1] == 1 else np.argmax(array, axis=1)
    if array.ndim != 1:
        raise ShapeError(f"{what} has the shape {array.shape}; it can be (images,) or a row each")
    if array.dtype.kind not in "bui" and not (array == np.round(array)).all():
        raise GraphTypeError(f"{what} has the dtype {array.dtype}; classes are integers")
    if len(array) and array.min() < 0:
        raise ArgumentError(f"{what} has the class {array.min()}; classes count from 0")
    return array.astype(np.int64)


def _name(number: int, names: Sequence[str] | None) -> str:
    return str(number) if names is None or number >= len(names) else str(names[number])
