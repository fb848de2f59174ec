"""Pictures of curves: time per FLOP over sizes, with cliffs marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.scaling import AXES, STEP, Curve
from tinygrad_mnist.compile.listing import counted
from tinygrad_mnist.plots import figures

WIDTH, HEIGHT = 4.2, 3.4  # of a panel, in inches
TICKS = [m * 10.0**e for e in range(-1, 6) for m in (1, 2, 3, 5, 7)]  # of ps per FLOP
LABELS = {
    "batch": "mini-batch; 20 maps of 12 x 12, 40 filters of 5 x 5",
    "image": "side of the images; 4 of 16 maps, 32 filters of 3 x 3",
    "filters": "filters of 3 x 3; 10 images of 32 maps of 28 x 28",
}


def draw(curves: Sequence[Curve], folder: Path) -> list[Path]:
    """A picture for each axis, with a panel for each number of threads, as scaling_AXIS.png in a
    folder. Raises ImportError without matplotlib, OSError."""
    paths = []
    for axis in AXES:
        own = [curve for curve in curves if curve.axis == axis]
        if own:
            paths.append(folder / f"scaling_{axis}.png")
            _draw_axis(axis, own, paths[-1])
    return paths


def _draw_axis(axis: str, curves: Sequence[Curve], path: Path) -> None:
    threads = sorted({curve.threads for curve in curves})
    names = list(dict.fromkeys(curve.name for curve in curves))
    figure = figures.new_figure(WIDTH * len(threads) + 1.6, HEIGHT, layout="constrained")
    panels = figure.subplots(1, len(threads), squeeze=False, sharey=True)[0]
    for n, ax in zip(threads, panels, strict=True):
        for curve in (c for c in curves if c.threads == n):
            style = "--" if curve.name == STEP else "-"
            color = figures.COLORS[names.index(curve.name) % len(figures.COLORS)]
            ax.plot(curve.values, curve.costs, style, color=color, marker=".", label=curve.name)
            at = [curve.values[i] for i in curve.cliffs], [curve.costs[i] for i in curve.cliffs]
            ax.plot(*at, "o", color=figures.WRONG, fillstyle="none", markersize=11)
        ax.set_xscale("log")
        ax.set_yscale("log")
        values = sorted({value for curve in curves for value in curve.values})
        ax.set_xticks(values, [f"{value:,}" for value in values], rotation=45)
        low, high = ax.get_ylim()
        ticks = [t for t in TICKS if low <= t <= high]
        ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
        ax.tick_params(labelsize=7)
        ax.set_title(counted(n, "thread"), fontsize=9)
        ax.set_xlabel(LABELS[axis], fontsize=8)
    panels[0].set_ylabel("ps per FLOP", fontsize=8)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right center", frameon=False, fontsize=7)
    figures.save(figure, path)
