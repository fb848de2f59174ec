"""Figures of matplotlib: made, saved, and shown in notebooks.

matplotlib is loaded when the first picture is drawn, without pyplot: the user's backend stays as it
is, no display is needed, and a figure is freed like any other object.
"""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.files import write_whole
from tinygrad_mnist.graph.values import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people tell apart; lines differ in their style, too.
TRAINING = "#0072B2"
VALIDATION = "#D55E00"
TEST = "#009E73"
WRONG = "#D00000"
#: Of lines that are beside each other; the styles change when the colours have been used up.
COLORS = (TRAINING, VALIDATION, TEST, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", ":", "-.")
DPI = 100

_FORMATS = ("png", "svg", "pdf")


def figure_class() -> type[Figure]:
    """matplotlib's class of figures. Raises ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "pictures are drawn by matplotlib, which isn't installed; "
            "pip install 'tinygrad_mnist[plot]'"
        ) from error
    return Figure


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """An empty figure of a size in inches. Raises ImportError without matplotlib."""
    figure = figure_class()(figsize=(width, height), dpi=DPI, **options)
    # Notebooks look for this method; matplotlib gives one to the figures of pyplot alone.
    vars(figure)["_repr_png_"] = functools.partial(image_bytes, figure, "png")
    return figure


def finished(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, saved if there is a path."""
    if path is not None:
        save(figure, path)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure to a PNG, SVG or PDF file, by the ending; the same figure gives the same
    bytes. It is written whole or not at all.

    Raises GraphTypeError and ArgumentError for a wrong path, OSError.
    """
    target = checked_path(path)
    write_whole(target, image_bytes(figure, target.suffix[1:].lower()))


def checked_path(path: Any) -> Path:
    """The path of a picture. Raises GraphTypeError, and ArgumentError for another ending."""
    if not isinstance(path, str | os.PathLike):
        raise GraphTypeError(f"path is {shown(path)}; it must be the path of a picture")
    target = Path(path)
    if target.suffix[1:].lower() not in _FORMATS:
        raise ArgumentError(f"path is {str(path)!r}; pictures end in .{', .'.join(_FORMATS)}")
    return target


def image_bytes(figure: Figure, kind: str) -> bytes:
    """What a file of the kind "png", "svg" or "pdf" holds."""
    from matplotlib import rc_context

    without_date = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    memory = io.BytesIO()
    with rc_context({"svg.hashsalt": "tinygrad_mnist"}):
        figure.savefig(memory, format=kind, metadata=without_date[kind])
    return memory.getvalue()
