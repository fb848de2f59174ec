"""Pictures of training runs, of answers, and of what a network has learnt, drawn by matplotlib.

from tinygrad_mnist import plots
plots.plot_history(model.fit(x, y, epochs=5), "curves.png")

Each function returns the figure, which a notebook shows. The extra `plot` installs matplotlib.
"""

from tinygrad_mnist.plots.classes import (
    confusion_matrix,
    plot_confusion_matrix,
    plot_digits,
    plot_errors,
)
from tinygrad_mnist.plots.curves import plot_history, plot_learning_rate, plot_runs
from tinygrad_mnist.plots.maps import plot_feature_maps, plot_filters

__all__ = [
    "confusion_matrix",
    "plot_confusion_matrix",
    "plot_digits",
    "plot_errors",
    "plot_feature_maps",
    "plot_filters",
    "plot_history",
    "plot_learning_rate",
    "plot_runs",
]
