"""`summary()`: the table of a model's layers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import flag, integer
from tinygrad_mnist.keras.layers.layer import Layer

_WIDEST = 88
_NARROWEST = 32


def print_summary(
    model: Layer,
    line_length: int | None,
    print_fn: Callable[[str], Any] | None,
    expand_nested: bool,
    show_trainable: bool,
) -> None:
    """Prints a model's table and totals; see `Model.summary`."""
    from rich.console import Console
    from rich.table import Table

    is_wide, with_flags = (
        flag(expand_nested, "expand_nested"),
        flag(show_trainable, "show_trainable"),
    )
    console = (
        Console(highlight=False)
        if print_fn is None
        else Console(highlight=False, force_terminal=False, color_system=None)
    )
    width = min(_WIDEST, console.width)
    if line_length is not None:
        width = integer(line_length, "line_length", _NARROWEST)
        console.width = max(width, 1)
    table = Table(width=width, show_lines=True)
    table.add_column("Layer (type)", ratio=9, overflow="fold")
    table.add_column("Output Shape", ratio=7, overflow="fold")
    table.add_column("Param #", ratio=4, justify="right", overflow="fold")
    if with_flags:
        table.add_column("Trainable", ratio=3, justify="center")
    for depth, layer in _rows(model, is_wide):
        table.add_row(*_fields(layer, depth, with_flags))
    with console.capture() as captured:
        console.print(f'[bold]Model: "{_plain(model.name)}"[/]')
        console.print(table)
        for what, weights in (
            ("Total", model.weights),
            ("Trainable", model.trainable_weights),
            ("Non-trainable", model.non_trainable_weights),
        ):
            console.print(
                f"[bold] {what} params:[/] [green]{_count(weights):,}[/] ({_size(weights)})"
            )
        if not model.built:
            console.print(" Not built yet: the input's shape is not known.")
    text = captured.get()
    if print_fn is None:
        sys.stdout.write(text)
        return
    for line in text.splitlines():
        print_fn(line)


def _rows(layer: Layer, nested: bool, depth: int = 0) -> Iterator[tuple[int, Layer]]:
    for inner in layer.sublayers():
        yield depth, inner
        if nested:
            yield from _rows(inner, nested, depth + 1)


def _plain(text: str) -> str:
    """Text in which rich finds no markup."""
    return text.replace("[", r"\[")


def _fields(layer: Layer, depth: int, with_flags: bool) -> list[str]:
    indent = "  " * depth + ("└ " if depth else "")
    shape = "?"
    if layer.output_shape is not None:
        shape = ", ".join(map(str, layer.output_shape))
        shape = f"({shape},)" if len(layer.output_shape) == 1 else f"({shape})"
    count = f"[green]{layer.count_params():,}[/]" if layer.built else "0 (unbuilt)"
    fields = [f"{indent}{_plain(layer.name)} ([blue]{type(layer).__name__}[/])", shape, count]
    if with_flags:
        fields.append(("Y" if layer.trainable else "N") if layer.weights else "-")
    return fields


def _count(weights: list[SharedVariable]) -> int:
    return sum(w.host_array.size for w in weights)


def _size(weights: list[SharedVariable]) -> str:
    """The bytes of all weights, such as 136.04 KB."""
    size = float(sum(w.host_array.nbytes for w in weights))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"
