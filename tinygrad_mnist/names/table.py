"""The table of Theano's names: which there are, and what those that differ or are absent are here.

`theano.toml` is read when it is needed first: for an error, for the documentation, in a test.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

_DOCS = "docs/theano.md lists Theano's names"


@dataclass(frozen=True)
class Group:
    """Names with a text: patterns of names, and of the modules that they are in."""

    names: tuple[str, ...]
    modules: tuple[str, ...]
    text: str

    def has(self, module: str, name: str) -> bool:
        return any(fnmatchcase(module, m) for m in self.modules) and any(
            fnmatchcase(name, n) for n in self.names
        )


@dataclass(frozen=True)
class Table:
    """names: those of every module. differs: how they differ. absent: why they are absent, and
    what to use instead. Of several groups that have a name, the first counts."""

    names: dict[str, tuple[str, ...]]
    differs: tuple[Group, ...]
    absent: tuple[Group, ...]

    def difference(self, module: str, name: str) -> str | None:
        """How a name differs from Theano's; None if it doesn't."""
        return _first(self.differs, module, name)

    def absence(self, module: str, name: str) -> str | None:
        """Why a name is absent; None for a name that isn't known."""
        return _first(self.absent, module, name)


@cache
def table() -> Table:
    """The table in `theano.toml`."""
    with Path(__file__).with_name("theano.toml").open("rb") as file:
        data = tomllib.load(file)
    return Table(
        {module: tuple(names.split()) for module, names in data["names"].items()},
        tuple(map(_group, data["differs"])),
        tuple(map(_group, data["absent"])),
    )


def absence(module: str, name: str) -> str:
    """The message of the error for a name that a module of Theano lacks here."""
    missing = f"{module} has no {name!r} here"
    if name.startswith("__"):
        return missing
    text = table().absence(module, name)
    return f"{missing}; {_DOCS}" if text is None else f"{missing}: {text}"


def _group(entry: dict[str, str]) -> Group:
    modules = entry.get("modules", "*")
    return Group(tuple(entry["names"].split()), tuple(modules.split()), entry["text"])


def _first(groups: tuple[Group, ...], module: str, name: str) -> str | None:
    return next((group.text for group in groups if group.has(module, name)), None)
