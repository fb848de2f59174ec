"""`PlotTraining`: a picture of the training that goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import integer, number
from tinygrad_mnist.keras.callbacks.callback import Callback, Logs
from tinygrad_mnist.plots import figures
from tinygrad_mnist.plots.curves import draw_curves
from tinygrad_mnist.plots.records import TRAINING, VALIDATION, Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 5.0, 3.8  # of a panel, in inches


class PlotTraining(Callback):
    """Draws loss and accuracy: of training data for single batches, of validation data after every
    epoch. In a notebook the picture is drawn anew after every epoch.

    sample_rate: every how many batches one is drawn. zoom: the loss is shown from 0 to its largest
    value divided by zoom, the accuracy from 1 - 1 / zoom to 1. path: a .png, .svg or .pdf, written
    after every epoch.

    It doesn't make `fit` call per batch. Raises GraphTypeError and ArgumentError for wrong
    arguments, ImportError without matplotlib.
    """

    def __init__(
        self,
        sample_rate: int = 1,
        zoom: float = 1.0,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        figures.figure_class()
        self.sample_rate = integer(sample_rate, "sample_rate", 1)
        self.zoom = number(zoom, "zoom")
        if not 0 < self.zoom < np.inf:
            raise ArgumentError(f"zoom is {zoom}; it must be a number above 0")
        self.path = None if path is None else figures.checked_path(path)
        self._points: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._display: Any = None

    @property
    def figure(self) -> Figure:
        """The picture of what was recorded so far."""
        curves = []
        for (what, part), points in self._points.items():
            x, values = np.array(points).T
            curves.append(Curve(what, part, x, values, is_noisy=part == TRAINING))
        names = [what for what in self._names() if any(c.what == what for c in curves)]
        figure = figures.new_figure(_WIDTH * max(len(names), 1), _HEIGHT, layout="constrained")
        for i, what in enumerate(names, 1):
            ax = figure.add_subplot(1, len(names), i)
            drawn = [curve for curve in curves if curve.what == what]
            draw_curves(ax, what, drawn)
            ax.set_xlim(left=0)
            values = np.concatenate([curve.values for curve in drawn])
            top = float(np.max(values, initial=0.0, where=np.isfinite(values)))
            if what == "loss" and top > 0:
                ax.set_ylim(0, 1.03 * top / self.zoom)
            elif what in ("accuracy", "acc"):
                ax.set_ylim(1 - 1 / self.zoom, 1 + 0.03 / self.zoom)
        return figure

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._points = {}
        self._display = None

    def on_epoch_batches(self, epoch: int, values: Mapping[str, NDArray[np.float64]]) -> None:
        for what, of_batches in values.items():
            places = range(0, len(of_batches), self.sample_rate)
            points = [(epoch + (i + 1) / len(of_batches), float(of_batches[i])) for i in places]
            self._points.setdefault((what, TRAINING), []).extend(points)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            if name.startswith("val_"):
                key = (name.removeprefix("val_"), VALIDATION)
                self._points.setdefault(key, []).append((epoch + 1, float(value)))
        if self.path is not None:
            figures.save(self.figure, self.path)
        self._show()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.path is None and _notebook() is None and self._points:
            print("PlotTraining shows its picture in a notebook; here, give it path='training.png'")

    def _names(self) -> list[str]:
        """What is drawn: the loss, and the accuracy or another metric."""
        names = list(dict.fromkeys(what for what, _ in self._points))
        others = sorted(
            (name for name in names if name != "loss"),
            key=lambda name: (name not in ("accuracy", "acc"), "accuracy" not in name),
        )
        return ["loss", *others[:1]]

    def _show(self) -> None:
        notebook = _notebook()
        if notebook is None:
            return
        image = notebook.Image(data=figures.image_bytes(self.figure, "png"))
        if self._display is None:
            self._display = notebook.display(image, display_id=True)
        else:
            self._display.update(image)


def _notebook() -> Any:
    """The module that shows things in the notebook in which the program runs, or None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return sys.modules.get("IPython.display") if hasattr(shell, "kernel") else None
