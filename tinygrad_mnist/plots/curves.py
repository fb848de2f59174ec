"""Curves over epochs: how training went, and learning rates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import integer, shown
from tinygrad_mnist.plots import figures, records
from tinygrad_mnist.plots.records import Curve, Values, curves_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES = {
    records.TRAINING: {"color": figures.TRAINING, "linestyle": "-", "marker": "o"},
    records.VALIDATION: {"color": figures.VALIDATION, "linestyle": "--", "marker": "s"},
    records.TEST: {"color": figures.TEST, "linestyle": ":", "marker": "^"},
}
_MANY = 25  # epochs, from which on points have no marks
_BATCHES = 2000  # at most this many values of batches are drawn; each is a mean of several
_WIDTH, _HEIGHT = 4.5, 3.4  # of one panel, in inches


def plot_history(
    record: Any, path: str | os.PathLike[str] | None = None, *, separator: str = ","
) -> Figure:
    """Draws loss, accuracy and other metrics of a training run over its epochs, a panel for each,
    with those of validation data beside those of training data.

    record: the `History` that `fit` or `network3.Network.SGD` leaves, a dict of lists with a value
    per epoch, or the path of a CSV file of `CSVLogger`. separator: that of the CSV file. path:
    where the picture is saved, as .png, .svg or .pdf.

    Raises GraphTypeError for another record, ArgumentError for one without values or another
    ending of the path, OSError, ImportError without matplotlib.
    """
    curves = [c for c in curves_of(record, separator) if c.what != "learning_rate"]
    panels = list(dict.fromkeys(curve.what for curve in curves))
    if not panels:
        raise ArgumentError("the record has only learning rates; plot_learning_rate draws them")
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = figures.new_figure(_WIDTH * columns, _HEIGHT * rows, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for what, ax in zip(panels, axes.flat, strict=False):
        draw_curves(ax, what, [curve for curve in curves if curve.what == what])
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    return figures.finished(figure, path)


def plot_runs(
    runs: Mapping[str, Any],
    path: str | os.PathLike[str] | None = None,
    *,
    what: str = "accuracy",
    separator: str = ",",
) -> Figure:
    """Draws one quantity of several training runs into one panel.

    runs: a record of each run, as of `plot_history`, by the name that the picture has for it. what:
    the quantity; validation data's is drawn if every run has it, else that of the training data.
    path, separator: as for `plot_history`.

    Raises GraphTypeError and ArgumentError for wrong arguments, such as a run without the quantity,
    OSError, ImportError without matplotlib.
    """
    if not isinstance(runs, Mapping) or not runs:
        raise GraphTypeError(f"runs is {shown(runs)}; it must be a dict of records by name")
    found = {str(name): _parts(name, record, what, separator) for name, record in runs.items()}
    shared = [
        part
        for part in (records.VALIDATION, records.TRAINING)
        if all(part in parts for parts in found.values())
    ]
    if not shared:
        raise ArgumentError(f"some runs have the {what} of training data alone, others don't")
    figure = figures.new_figure(_WIDTH * 1.3, _HEIGHT, layout="constrained")
    ax = figure.subplots()
    drawn = {name: parts[shared[0]] for name, parts in found.items()}
    for number, (name, curve) in enumerate(drawn.items()):
        x, values = thinned(curve.x, curve.values)
        color = figures.COLORS[number % len(figures.COLORS)]
        line = figures.LINES[number // len(figures.COLORS) % len(figures.LINES)]
        ax.plot(x, values, line, color=color, label=name)
    ends = np.concatenate([curve.x for curve in drawn.values()])
    _decorate(ax, f"{what}, {shared[0]} data", ends)
    ax.legend(frameon=False, loc="lower right" if "acc" in what else "upper right")
    return figures.finished(figure, path)


def _parts(name: str, record: Any, what: str, separator: str) -> dict[str, Curve]:
    """A run's curves of a quantity, by the data that they are of."""
    curves = curves_of(record, separator)
    found = {curve.part: curve for curve in curves if curve.what == what}
    if not found:
        known = ", ".join(dict.fromkeys(curve.what for curve in curves))
        raise ArgumentError(f"run {shown(name)} has no {what}; it has {known}")
    return found


def plot_learning_rate(
    rates: Callable[[int], float] | Iterable[float] | Any,
    epochs: int | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draws the learning rate of every epoch.

    rates: a function of the epoch, counted from 0, as `LearningRateScheduler` takes; a list of the
    rates; or a record with a "learning_rate", as of `plot_history`. epochs: how many are drawn; of
    a list or a record, all by default. path: where the picture is saved.

    Raises GraphTypeError and ArgumentError for wrong arguments, OSError, ImportError without
    matplotlib.
    """
    values, name = _rates(rates, epochs)
    figure = figures.new_figure(_WIDTH * 1.3, _HEIGHT, layout="constrained")
    ax = figure.subplots()
    x = np.arange(1.0, len(values) + 1)
    ax.plot(x, values, color=figures.TRAINING, marker=_mark("o", x), markersize=4)
    _decorate(ax, name, x)
    positive = values[values > 0]
    if len(positive) == len(values) and positive.max() > 1000 * positive.min():
        ax.set_yscale("log")
    elif values.min() >= 0:
        ax.set_ylim(bottom=0)
    ax.set_title(f"{name}\nfrom {values[0]:.3g} to {values[-1]:.3g}", fontsize="medium")
    ax.set_ylabel("learning rate")
    return figures.finished(figure, path)


def draw_curves(ax: Axes, what: str, curves: Sequence[Curve]) -> None:
    """Draws curves of one quantity into one panel."""
    for curve in curves:
        style = _STYLES[curve.part]
        if curve.is_noisy:
            x, values = thinned(curve.x, curve.values)
            ax.plot(x, values, color=style["color"], linewidth=0.8, alpha=0.7, label=curve.part)
            continue
        known = np.isfinite(curve.values)
        (line,) = ax.plot(curve.x[known], curve.values[known], markersize=4, label=curve.part)
        line.set(**{**style, "marker": _mark(style["marker"], curve.x)})
    _decorate(ax, what, np.concatenate([curve.x for curve in curves]))
    if len(curves) > 1:
        ax.legend(frameon=False, loc="lower right" if "acc" in what else "upper right")


def thinned(x: Values, values: Values, most: int = _BATCHES) -> tuple[Values, Values]:
    """At most `most` points, means of neighbours, of those whose value is finite."""
    finite = np.isfinite(values)
    x, values = x[finite], values[finite]
    size = max(-(-len(x) // most), 1)
    starts = np.arange(0, len(x), size)
    if not len(starts):
        return x, values
    lengths = np.diff(starts, append=len(x))
    return np.add.reduceat(x, starts) / lengths, np.add.reduceat(values, starts) / lengths


def _rates(rates: Any, epochs: int | None) -> tuple[Values, str]:
    """The rate of each epoch, and a name."""
    if callable(rates):
        if epochs is None:
            raise GraphTypeError("plot_learning_rate needs the number of epochs of a function")
        values = [rates(epoch) for epoch in range(integer(epochs, "epochs", 1))]
        name = getattr(rates, "__name__", type(rates).__name__)
        name = "learning rate" if name == "<lambda>" else name
        return np.array([float(value) for value in values]), name
    if isinstance(rates, list | tuple | np.ndarray):
        found = np.asarray(rates, np.float64)
    else:
        found = np.concatenate(
            [np.empty(0), *(c.values for c in curves_of(rates) if c.what == "learning_rate")]
        )
    if epochs is not None:
        found = found[: integer(epochs, "epochs", 1)]
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise ArgumentError(f"{shown(rates)} has no learning rates, or some that aren't finite")
    return found, "learning rate"


def _mark(mark: str, x: Values) -> str:
    return mark if len(x) < _MANY else ""


def _decorate(ax: Axes, what: str, x: Values) -> None:
    ax.set_title(what, fontsize="medium")
    ax.set_xlabel("epoch")
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.locator_params(axis="x", integer=True)
    if len(x) and x.min() == x.max():  # one epoch: no fractions beside it
        ax.set_xticks([x[0]])
