"""Pictures of what a network has learnt: filters, and the feature maps of an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import ArgumentError, GraphTypeError, ShapeError
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.values import integer, plain_array, shown
from tinygrad_mnist.plots import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
_FONT = 8  # points; the margins are made for it
_ROWS, _CHANNELS = 16, 32  # at most, of filters that have several channels


def plot_filters(
    filters: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    n: int | None = None,
    channels_first: bool = False,
) -> Figure:
    """Draws the filters of a convolution, all by one scale: orange above 0, purple below. Filters
    with several channels have a row each, a column per channel.

    filters: a layer of `keras` or of `network3`, a model or network, whose first convolution is
    drawn, or an array (height, width, channels, filters), as Keras keeps them. channels_first: the
    array is (filters, channels, height, width), as Theano keeps them. Filters are drawn as they are
    kept; the convolutions of `network3` flip them. path: where the picture is saved. n: how many
    filters are drawn at most, default 64, or 16 of several channels.

    Raises GraphTypeError, ArgumentError and ShapeError for wrong arguments, OSError, ImportError
    without matplotlib.
    """
    kept = _filters(filters, channels_first)  # (filters, channels, height, width)
    count, channels = kept.shape[:2]
    n = integer((64 if channels == 1 else _ROWS) if n is None else n, "n", 1)
    drawn = kept[:n, :_CHANNELS]
    title = _counted(count, n, "filter")
    largest = float(np.abs(drawn).max()) or 1.0
    options: dict[str, Any] = {"cmap": "PuOr_r", "vmin": -largest, "vmax": largest}
    if channels == 1:
        return figures.finished(_draw(drawn[:, 0], title, **options), path)
    figure = _draw(
        drawn.reshape(-1, *drawn.shape[2:]),
        f"{title} with {_counted(channels, _CHANNELS, 'channel')}",
        columns=drawn.shape[1],
        labels=("channel", "filter"),
        **options,
    )
    return figures.finished(figure, path)


def plot_feature_maps(
    maps: Any,
    image: Any = None,
    layer: int = 0,
    path: str | os.PathLike[str] | None = None,
    *,
    n: int = 64,
    channels_first: bool = False,
) -> Figure:
    """Draws the maps that a layer makes of an image, all by one scale.

    maps: a model of `keras` or a network of `network3`; or what a layer gave, (height, width, maps)
    with or without an axis of length 1 before it. image: what the model gets, without the axis of
    the batch. layer: its number among `model.layers`. path: where the picture is saved. n: how many
    maps are drawn at most. channels_first: the array is (maps, height, width).

    Raises GraphTypeError, ArgumentError and ShapeError for wrong arguments, OSError, ImportError
    without matplotlib.
    """
    if hasattr(maps, "layers"):
        if image is None:
            raise GraphTypeError("plot_feature_maps needs the image that the model gets")
        number = integer(layer, "layer")
        if not -len(maps.layers) <= number < len(maps.layers):
            raise ArgumentError(f"layer is {number}; there are {len(maps.layers)} layers")
        number %= len(maps.layers)
        array = _maps_of(maps, plain_array(image, "image"), number)
        title, kind = f" of layer {number}", type(maps.layers[number]).__name__
    else:
        array, title, kind = plain_array(maps, "maps"), "", "maps"
        if channels_first:
            array = np.moveaxis(array, -3, -1) if array.ndim >= 3 else array
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim != 3:
        raise ShapeError(f"{kind} has the shape {array.shape}; maps are (height, width, maps)")
    count = array.shape[2]
    n = integer(n, "n", 1)
    title = _counted(count, n, "map") + title
    drawn = np.moveaxis(array, 2, 0)[:n]
    return figures.finished(_draw(drawn, title, cmap="viridis"), path)


def _counted(count: int, most: int, what: str) -> str:
    cut = f"{most} of {count}" if count > most else f"{count}"
    return f"{cut} {what}{'' if count == 1 else 's'}"


def _filters(source: Any, channels_first: bool) -> Array:
    """Filters as (filters, channels, height, width)."""
    arrays: list[Array]
    if hasattr(source, "get_weights"):
        arrays, channels_first = list(source.get_weights()), False
    elif (w := _first_filters(source)) is not None:
        arrays, channels_first = [w], True
    else:
        arrays = [plain_array(source, "filters")]
    for array in arrays:
        if array.ndim == 4:
            return array if channels_first else array.transpose(3, 2, 0, 1)
    shapes = ", ".join(str(array.shape) for array in arrays) or "none"
    raise ShapeError(f"{shown(source)} has no filters, which have 4 axes; the shapes are {shapes}")


def _first_filters(source: Any) -> Array | None:
    """The filters of a layer of `network3`, or of the first layer of a network that has some."""
    for layer in getattr(source, "layers", [source]):
        value = getattr(getattr(layer, "w", None), "get_value", None)
        if value is not None and (array := np.asarray(value())).ndim == 4:
            return array
    return None


def _maps_of(model: Any, image: Array, number: int) -> Array:
    """What a layer gives for an image: (1, height, width, maps)."""
    if not hasattr(model, "mini_batch_size"):
        values: Array = image[None]
        for layer in model.layers[: number + 1]:
            values = np.asarray(layer(values))
        return values
    batch = np.zeros((model.mini_batch_size, image.size), model.x.dtype)
    batch[0] = image.ravel()
    outputs = function([model.x], model.layers[number].output, name="feature maps")(batch)
    return np.moveaxis(np.asarray(outputs[:1]), 1, -1)


def _draw(
    tiles: Array,
    title: str,
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    **options: Any,
) -> Figure:
    """Tiles (tiles, height, width) in one image with gaps between, and its scale."""
    count, height, width = tiles.shape
    columns = columns or min(count, max(8, int(np.ceil(np.sqrt(count)))))
    rows = -(-count // columns)
    gap = max(1, round(0.08 * max(height, width)))
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        whole[top : top + height, left : left + width] = tile
    size = max(0.28, min(0.75, 8 / columns))  # of a tile, in inches
    across, down = size * whole.shape[1] / width, size * whole.shape[0] / width
    left, bottom = (0.4, 0.35) if labels is None else (0.6, 0.55)
    wide, high = max(left + across + 1.1, 2.4), bottom + down + 0.4
    figure = figures.new_figure(wide, high)
    ax = figure.add_axes((left / wide, bottom / high, across / wide, down / high))
    image = ax.imshow(whole, interpolation="nearest", aspect="auto", **options)
    scale = ((left + across + 0.15) / wide, bottom / high, 0.12 / wide, down / high)
    figure.colorbar(image, cax=figure.add_axes(scale)).ax.tick_params(labelsize=_FONT)
    every = max(1, round(0.3 / size))
    shown_columns = np.arange(0, columns, every)
    first = np.arange(rows) * (columns if labels is None else 1)  # tile of each row, or its filter
    ax.set_xticks((width - 1) / 2 + shown_columns * (width + gap), shown_columns.astype(str))
    ax.set_yticks((height - 1) / 2 + np.arange(rows) * (height + gap), first.astype(str))
    ax.tick_params(length=0, labelsize=_FONT)
    ax.spines[:].set_visible(False)
    ax.grid(False)  # whatever the user's style
    ax.set_facecolor("none")
    if labels is not None:
        ax.set_xlabel(labels[0], fontsize=_FONT + 1)
        ax.set_ylabel(labels[1], fontsize=_FONT + 1)
    figure.text(0.5, 1 - 0.08 / high, title, ha="center", va="top", fontsize=_FONT + 2)
    return figure
