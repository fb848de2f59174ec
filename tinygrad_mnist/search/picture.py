"""The score by each setting, as small pictures side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.plots.figures import TRAINING, VALIDATION, finished, new_figure
from tinygrad_mnist.search.space import key_of
from tinygrad_mnist.search.table import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 3  # pictures in a row
_INCHES = (3.2, 2.6)
_MOST_TICKS = 6  # a setting with no more values has a tick at each
_MARGIN = 0.2  # of the axis, so that the names of pictures side by side don't touch
_DECADES = 50  # a setting whose largest value is this many times the smallest has a log axis


def draw(
    settings: Mapping[str, Sequence[Any]],
    scores: Sequence[float],
    metric: str,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """matplotlib's Figure with a picture per setting: a dot for each run, and a line through the
    means where values repeat.

    settings: the values of each setting, one per run. path: where it is saved, if anywhere.

    Raises ArgumentError without runs; ImportError where matplotlib isn't installed.
    """
    if not scores:
        raise ArgumentError("there is no run with a score to draw")
    columns = min(_COLUMNS, len(settings))
    rows = -(-len(settings) // columns)
    figure = new_figure(columns * _INCHES[0], rows * _INCHES[1], layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(settings) :]:
        axes.remove()
    for axes, (name, values) in zip(grid.flat, settings.items(), strict=False):
        _draw_setting(axes, values, np.array(scores))
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    if repeats := [axes for axes in figure.axes if axes.lines]:
        repeats[0].legend(frameon=False, fontsize="small")
    for axes in grid[:, 0]:
        axes.set_ylabel(metric)
    return finished(figure, path)


def _draw_setting(axes: Any, values: Sequence[Any], scores: np.ndarray[Any, Any]) -> None:
    x = _positions(axes, values)
    axes.scatter(x, scores, s=18, alpha=0.7, color=TRAINING)
    places = np.unique(x)
    if len(places) < len(x):
        means = [scores[x == place].mean() for place in places]
        axes.plot(places, means, color=VALIDATION, linewidth=1.2, label="mean")


def _positions(axes: Any, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Where the values are on the horizontal axis: numbers where they belong, others in order."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = np.array(values, np.float64)
        if numbers.min() > 0 and numbers.max() >= _DECADES * numbers.min():
            axes.set_xscale("log")
        if len(places := sorted(set(values))) <= _MOST_TICKS:
            axes.set_xticks(places, [shown(place) for place in places], minor=False)
            axes.minorticks_off()
        return numbers
    different = {key_of(value): value for value in values}
    try:
        keys = sorted(different, key=different.__getitem__)
    except TypeError:  # of several types
        keys = sorted(different)
    order = {key: float(i) for i, key in enumerate(keys)}
    axes.set_xticks(list(order.values()), [shown(different[key]) for key in keys])
    axes.margins(x=_MARGIN)
    return np.array([order[key_of(value)] for value in values])
