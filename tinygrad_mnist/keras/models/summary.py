"""`summary()`: the table of a model's layers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import flag, integer
from tinygrad_mnist.keras.layers.layer import Layer

_WIDEST = 88
_NARROW = 60  # columns below which a name and its type are on two lines
_LEAST = 32


def print_summary(
    model: Layer,
    line_length: int | None,
    print_fn: Callable[[str], Any] | None,
    expand_nested: bool,
    show_trainable: bool,
) -> None:
    """Prints a model's table and totals; see `Model.summary`."""
    from rich.console import Console

    width = None if line_length is None else integer(line_length, "line_length", _LEAST)
    nested, flags = flag(expand_nested, "expand_nested"), flag(show_trainable, "show_trainable")
    text = None if print_fn is None else io.StringIO()
    console = Console(file=text, highlight=False, width=width)
    console.print(f'[bold]Model: "{_literal(model.name)}"[/]')
    console.print(_table(_rows(model, nested), width or min(_WIDEST, console.width), flags))
    for what, weights in (
        ("Total", model.weights),
        ("Trainable", model.trainable_weights),
        ("Non-trainable", model.non_trainable_weights),
    ):
        count = sum(w.host_array.size for w in weights)
        console.print(f"[bold] {what} params:[/] [green]{count:,}[/] ({_size(weights)})")
    if not model.built:
        console.print(" Not built: the input's shape is not known yet.")
    if print_fn is not None and text is not None:
        for line in text.getvalue().splitlines():
            print_fn(line)


def _table(rows: Iterator[tuple[int, Layer]], width: int, flags: bool) -> Any:
    """rich's table of layers, with their depths."""
    from rich.table import Table

    narrow = width < _NARROW
    padding = (0, 0 if narrow else 1)
    table = Table(width=width, show_lines=True, show_edge=not narrow, padding=padding)
    table.add_column("Layer (type)", ratio=9, overflow="fold")
    table.add_column("Output Shape", ratio=5 if narrow else 7, overflow="fold")
    table.add_column("Param #", ratio=None if narrow else 4, justify="right", no_wrap=True)
    if flags:
        table.add_column("Trainable", justify="center", no_wrap=not narrow)
    for depth, layer in rows:
        indent = "  " * depth
        behind = f"\n{indent}" if narrow else " "
        name = f"{indent}{_literal(layer.name)}{behind}([blue]{type(layer).__name__}[/])"
        count = f"[green]{layer.count_params():,}[/]" if layer.built else "(unbuilt)"
        trained = ("Y" if layer.trainable else "N") if layer.weights else "-"
        table.add_row(name, _shape(layer), count, *([trained] if flags else []))
    return table


def _rows(layer: Layer, nested: bool, depth: int = 0) -> Iterator[tuple[int, Layer]]:
    for inner in getattr(layer, "layers", ()):
        yield depth, inner
        if nested:
            yield from _rows(inner, nested, depth + 1)


def _literal(text: str) -> str:
    """Text in which rich finds no markup."""
    return text.replace("[", r"\[")


def _shape(layer: Layer) -> str:
    return "?" if layer.output_shape is None else str(tuple(layer.output_shape))


def _size(weights: list[SharedVariable]) -> str:
    """The bytes of all weights, such as 136.04 KB."""
    size = float(sum(w.host_array.nbytes for w in weights))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"
