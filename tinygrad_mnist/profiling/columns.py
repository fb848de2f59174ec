"""Tables that fit a width: shapes are dropped first; what took the time, and how long, stays."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

WIDTH = 120  # of tables that go into a file
_FLEXIBLE, _LEAST = "shapes", 12  # a column that is cut to this many characters, then dropped
_DROPPED = (  # in this order
    *("GB/s", "GFLOP/s", "calls", "roofline"),
    *("other", "float", "int", "memory", "parted", "barriers", "launch"),  # of counts
    *("kB", "at best", "limit", "spills", "resident", "bytes", "regs", "occupied"),
    *("active", "waves", "global", "shared"),
    "#",
)
_GAP = "  "  # between columns
TEXTS = ("kernel", "shapes", "limit", "bound")  # columns that are aligned to the left
_CUT = "kernel"  # cut where the rest is still too wide

Row = Sequence[str]


def terminal_width() -> int:
    """Columns of the terminal, or of the variable COLUMNS; WIDTH where there is neither."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def fitting(head: Row, rows: Sequence[Row], width: int, gap: int) -> list[list[str]]:
    """A table with its head as first row, cut to `width` characters, `gap` of them between two
    columns."""
    columns = {name: list(cells) for name, *cells in zip(head, *rows, strict=True)}

    def excess() -> int:
        widths = [max(map(len, (name, *cells))) for name, cells in columns.items()]
        return sum(widths) + gap * (len(widths) - 1) - width

    if _FLEXIBLE in columns:
        _narrow(columns, _FLEXIBLE, excess(), _LEAST)
    for name in _DROPPED:
        if excess() > 0:
            columns.pop(name, None)
    _narrow(columns, _CUT, excess(), 0)
    return [list(row) for row in zip(*([n, *c] for n, c in columns.items()), strict=True)]


def aligned(head: Row, rows: Sequence[Row], width: int) -> list[str]:
    """The lines of a table that fits `width` characters."""
    table = fitting(head, rows, width, len(_GAP))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        _GAP.join(
            cell.ljust(wide) if name in TEXTS else cell.rjust(wide)
            for cell, wide, name in zip(row, widths, table[0], strict=True)
        ).rstrip()
        for row in table
    ]


def _narrow(columns: dict[str, list[str]], name: str, excess: int, least: int) -> None:
    """Cuts a column by `excess` characters, or drops it where that would leave too few."""
    if excess <= 0:
        return
    wide = max(map(len, (name, *columns[name]))) - excess
    if wide < max(least, len(name)):
        if least:
            del columns[name]
            return
        wide = len(name)
    columns[name] = [cut(cell, wide) for cell in columns[name]]


def cut(text: str, width: int) -> str:
    """The text, or as much of it as fits, and `...`."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."
