"""Writes the tables of Theano's names into docs/theano.md: `python docs/theano_names.py`.

The names and the texts are in tinygrad_mnist/names/theano.toml; whether a name works is looked up
in the package.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tinygrad_mnist.names import theano_module
from tinygrad_mnist.names.table import table

TEXT = Path(__file__).with_name("theano.md")
BEGIN = "<!-- made by docs/theano_names.py; begin -->\n"
END = "<!-- end -->\n"
WIDTH = 110


class Module(NamedTuple):
    """The names of a module: those that work, and texts of those that differ or are absent."""

    name: str
    works: tuple[str, ...]
    differs: dict[str, str]
    absent: dict[str, str]

    @property
    def counts(self) -> tuple[int, int, int]:
        return len(self.works), len(self.differs), len(self.absent)


def look_up(module: str) -> Module:
    """What the names of a module of Theano are here. Raises KeyError for one that is absent
    without a reason."""
    works: list[str] = []
    differs: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name in table().names[module]:
        if not hasattr(theano_module(module), name):
            why = table().absence(module, name)
            if why is None:
                raise KeyError(f"{module}.{name} is absent; theano.toml doesn't say why")
            absent[name] = why
        elif how := table().difference(module, name):
            differs[name] = how
        else:
            works.append(name)
    return Module(module, tuple(works), differs, absent)


def by_text(entries: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(names, their common text), in the order of the first names."""
    for text in dict.fromkeys(entries.values()):
        names = " ".join(name for name, own in entries.items() if own == text)
        yield f"`{names}`", text


def section(module: Module) -> Iterator[str]:
    """The part of the document about a module."""
    yield f"### `{module.name}`\n"
    if module.works:
        works = textwrap.fill(" ".join(module.works), WIDTH, break_on_hyphens=False)
        yield f"Works:\n\n```\n{works}\n```\n"
    for title, entries in (("differs | how", module.differs), ("absent | why", module.absent)):
        if entries:
            rows = [f"| {names} | {text} |" for names, text in by_text(entries)]
            yield "\n".join([f"| {title} |", "| --- | --- |", *rows, ""])


def document() -> str:
    """The tables, as the text between the two marks."""
    modules = [look_up(name) for name in table().names]
    rows = [f"| `{m.name}` | {' | '.join(map(str, m.counts))} |" for m in modules]
    totals = [str(sum(column)) for column in zip(*(m.counts for m in modules), strict=True)]
    parts = [
        "| module | works | differs | absent |\n| --- | ---: | ---: | ---: |",
        *rows,
        f"| all | {' | '.join(totals)} |\n",
        *(part for m in modules for part in section(m)),
    ]
    return "\n".join(parts)


def main() -> None:
    """Replaces the tables in the document."""
    before, _, rest = TEXT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    TEXT.write_text(before + BEGIN + document() + END + after)


if __name__ == "__main__":
    main()
