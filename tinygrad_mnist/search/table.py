"""Tables that fit a width: what matters least is dropped first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinygrad_mnist.profiling.columns import cut, terminal_width

_DIGITS = 5  # significant digits of a float
_GAP = 2
_LEAST = 12  # characters to which a column is cut


@dataclass(frozen=True)
class Column:
    """A column of a table.

    drop: where the table is too wide, columns with the highest number go first; 0 stays. cut:
    whether its cells may be cut, and, where that isn't enough, the column dropped at last.
    """

    name: str
    cells: Sequence[str]
    is_text: bool = False
    drop: int = 0
    cut: bool = False

    @property
    def width(self) -> int:
        return max(map(len, (self.name, *self.cells)))


def shown(value: Any) -> str:
    """A setting or a number as a cell of a table."""
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if isinstance(value, list | tuple):
        return "-".join(map(shown, value))
    return str(value)


def cut_to_width(
    columns: Sequence[Column], width: int | None = None, gap: int = _GAP
) -> list[Column]:
    """The columns that fit `width` characters, by default the terminal's, `gap` of them between
    two."""
    kept = list(columns)
    width = terminal_width() if width is None else width

    def excess() -> int:
        return sum(column.width for column in kept) + gap * (len(kept) - 1) - width

    def narrow(least: int) -> None:
        for i, column in enumerate(kept):
            if column.cut and excess() > 0:
                size = max(column.width - excess(), least, len(column.name))
                kept[i] = replace(column, cells=[cut(cell, size) for cell in column.cells])

    narrow(3 * _LEAST)
    for drop in sorted({column.drop for column in kept} - {0}, reverse=True):
        while excess() > 0 and any(column.drop == drop for column in kept):
            last = max(i for i, column in enumerate(kept) if column.drop == drop)
            del kept[last]
    narrow(_LEAST)
    return [column for column in kept if not column.cut] if excess() > 0 else kept


def plain_text(columns: Sequence[Column]) -> list[str]:
    """The table as lines, without rules."""
    rows = zip(*((column.name, *column.cells) for column in columns), strict=True)
    return [
        (" " * _GAP)
        .join(
            cell.ljust(column.width) if column.is_text else cell.rjust(column.width)
            for column, cell in zip(columns, row, strict=True)
        )
        .rstrip()
        for row in rows
    ]


def console_table(columns: Sequence[Column]) -> Any:
    """The table for a `rich.console.Console`."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.name, justify="left" if column.is_text else "right", no_wrap=True)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table
