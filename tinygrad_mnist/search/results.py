"""The results of a search: runs, sorted, as a table for people and for files."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.files import write_whole
from tinygrad_mnist.search import picture
from tinygrad_mnist.search.space import Settings, key_of
from tinygrad_mnist.search.table import Column, console_table, cut_to_width, plain_text, shown

MODES = ("auto", "max", "min")
#: Where the metric isn't named: the first of these that a run returned.
METRICS = ("score", "val_accuracy", "val_loss", "accuracy", "loss")
_SMALL_IS_GOOD = ("loss", "error")
_FORMATS = {".csv": "csv", ".json": "json", ".md": "markdown"}


@dataclass
class Run:
    """A call of the objective.

    number: its place in the grid or among the random settings, from 0. values: the numbers that it
    returned. error: why it has none; trace: where that happened.
    """

    number: int
    settings: Settings
    seed: int
    values: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    trace: str | None = None

    def row(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {
            "settings": self.settings,
            "seed": self.seed,
            "values": self.values,
            "seconds": round(self.seconds, 3),
            "error": self.error,
            **({"trace": self.trace} if self.trace else {}),
        }

    def line(self) -> str:
        """Settings, numbers and seconds in a line."""
        settings = " ".join(f"{name}={shown(value)}" for name, value in self.settings.items())
        values = " ".join(f"{name} {shown(value)}" for name, value in self.values.items())
        return f"{settings}  {self.error or values}  ({self.seconds:.1f} s)"


class Results(Sequence[Run]):
    """The runs of a search, the best first; those without a score at the end, in their order.

    metric: the number by which they are sorted. is_minimised: whether the smallest is best.

    `print` shows a table as wide as the terminal; `rich` prints one with lines. `to_markdown()`,
    `to_csv()` and `to_json()` return texts with all columns, and `save(path)` writes one of them,
    as the path ends.
    """

    def __init__(self, runs: Sequence[Run], metric: str | None, mode: str = "auto") -> None:
        in_order = sorted(runs, key=lambda run: run.number)
        self.metric = _metric(in_order) if metric is None else metric
        small_is_good = any(word in self.metric for word in _SMALL_IS_GOOD)
        self.is_minimised = mode == "min" or (mode == "auto" and small_is_good)
        self._runs = sorted(in_order, key=self._rank)

    def _rank(self, run: Run) -> tuple[bool, float]:
        score = self.score(run)
        if math.isnan(score):
            return (True, 0.0)
        return (False, score if self.is_minimised else -score)

    def score(self, run: Run) -> float:
        """The metric of a run; NaN where it failed."""
        return run.values.get(self.metric, math.nan)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def best(self) -> Run:
        """The run with the best score. Raises ArgumentError where none has one."""
        if not self._runs or math.isnan(self.score(self._runs[0])):
            errors = [run.error for run in self._runs if run.error]
            reason = f"; the first error: {errors[0]}" if errors else ""
            raise ArgumentError(f"none of {len(self)} runs has a score{reason}")
        return self._runs[0]

    @property
    def failed(self) -> list[Run]:
        """The runs that raised an exception, or whose worker was lost."""
        return [run for run in self._runs if run.error is not None]

    # --- tables --------------------------------------------------------------------------------

    def __str__(self) -> str:
        return "\n".join([self.title(), *plain_text(cut_to_width(self._columns()))])

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield self.title()
        yield console_table(cut_to_width(self._columns(), options.max_width - 2, gap=3))

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def title(self) -> str:
        """How many runs there are, and the settings that are the same in all."""
        noun = "run" if len(self) == 1 else "runs"
        failed = f", {len(self.failed)} failed" if self.failed else ""
        first = self._runs[0].settings if self._runs else {}
        same = [f"{name}={shown(first[name])}" for name in first if name not in self.varied()]
        return "; ".join([f"{len(self)} {noun}{failed}, best first", *same])

    def varied(self) -> list[str]:
        """The settings with more than one value; all of a single run."""
        if not self._runs:
            return []
        names = list(self._runs[0].settings)
        if len(self) == 1:
            return names
        return [n for n in names if len({key_of(run.settings.get(n)) for run in self}) > 1]

    def _columns(self) -> list[Column]:
        """Those of a table for people; the less they matter, the later they are named in `drop`."""
        others = dict.fromkeys(name for run in self for name in run.values if name != self.metric)
        columns = [Column("", [str(i) for i in range(1, len(self) + 1)], drop=3)]
        columns += [self._setting(name) for name in self.varied()]
        columns.append(self._value(self.metric))
        columns += [self._value(name, drop=5) for name in others]
        columns.append(Column("seconds", [f"{run.seconds:.1f}" for run in self], drop=4))
        if self.failed:
            columns.append(
                Column("error", [run.error or "" for run in self], is_text=True, cut=True)
            )
        return columns

    def _setting(self, name: str) -> Column:
        values = [run.settings.get(name) for run in self]
        is_text = any(isinstance(value, str | list | tuple) for value in values)
        return Column(name, [shown(value) for value in values], is_text)

    def _value(self, name: str, drop: int = 0) -> Column:
        cells = [shown(run.values[name]) if name in run.values else "-" for run in self]
        return Column(name, cells, drop=drop)

    # --- files ---------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """A dict per run, the best first: settings, numbers, seconds and error by name. A number
        with the name of a setting has 'returned ' before it."""
        return [
            {
                **run.settings,
                **{
                    f"returned {name}" if name in run.settings else name: value
                    for name, value in run.values.items()
                },
                "seconds": round(run.seconds, 3),
                "error": run.error,
            }
            for run in self
        ]

    def to_json(self) -> str:
        """A list of objects, as `Run.row` has them; null for what is not finite."""
        rows = [run.row() for run in self]
        for row in rows:
            row["values"] = {
                name: value if math.isfinite(value) else None
                for name, value in row["values"].items()
            }
        return json.dumps(rows, indent=1) + "\n"

    def to_csv(self) -> str:
        """A table with a header."""
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        names.sort(key=lambda name: name in ("seconds", "error"))  # these two last
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def to_markdown(self) -> str:
        """A table in Markdown."""
        columns = self._columns()
        lines = [[column.name or "#" for column in columns]]
        lines.append(["---" if column.is_text else "---:" for column in columns])
        lines += [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
        escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        return "".join(f"| {' | '.join(line)} |\n" for line in escaped)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table as .csv, .json or .md. Raises ArgumentError for another ending."""
        ending = Path(path).suffix.lower()
        if ending not in _FORMATS:
            raise ArgumentError(f"{path}: the name must end in {', '.join(_FORMATS)}")
        text: str = getattr(self, f"to_{_FORMATS[ending]}")()
        write_whole(path, text.encode())

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """A picture: the score by each setting, one beside the other. Needs the extra `plot`.

        path: where it is saved, such as 'search.png'. Returns matplotlib's Figure.
        """
        done = [run for run in self if not math.isnan(self.score(run))]
        scores = [self.score(run) for run in done]
        columns: Mapping[str, list[Any]] = {
            name: [run.settings.get(name) for run in done] for name in self.varied()
        }
        return picture.draw(columns, scores, self.metric, path)


def _metric(runs: Sequence[Run]) -> str:
    returned = list(dict.fromkeys(name for run in runs for name in run.values))
    known = [name for name in METRICS if name in returned]
    return [*known, *returned, METRICS[0]][0]
