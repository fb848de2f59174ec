"""Parts of listings: counts with their nouns, large values with a decimal prefix, names of files,
values of constants."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import import_module

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.source import Origins

_FIXED = "\N{NO-BREAK SPACE}"  # in place of a space at which no line may break
_MOST_VALUES = 6  # of a constant that are written out


def counted(n: int, noun: str) -> str:
    """A number and its noun: `1 slot`, `2 slots`, `3 temporaries`."""
    if n == 1:
        return f"{n} {noun}"
    return f"{n} {noun.removesuffix('y')}ies" if noun.endswith("ry") else f"{n} {noun}s"


def scaled(value: float) -> str:
    """Three digits and a decimal prefix: `0 `, `950 `, `1.23 k`, `45.6 M`, `789 G`."""
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            digits = 0 if prefix == "" or value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f} {prefix}"
        value /= 1000
    return f"{value:.0f} T"


def short_names(files: Iterable[str]) -> dict[str, str]:
    """A name for each file: its last part, or all of it where others have the same."""
    last = {file: os.path.basename(file) for file in files}
    count = Counter(last.values())
    return {file: name if count[name] == 1 else file for file, name in last.items()}


def show_origins(origins: Origins, names: Mapping[str, str]) -> str:
    """`model.py:12; gradient of model.py:14`, with these names for files."""
    return "; ".join(origin.text(names.get(origin.file, origin.file)) for origin in origins)


def wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    """Lines of a text, with these starts."""
    wrap = import_module(
        "textwrap"
    ).wrap  # takes a millisecond to load, and few programs print plans
    lines = wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_FIXED, " ") for line in lines]


def wrapped_origins(text: str, width: int, first: str, others: str) -> list[str]:
    """The same for a text from `show_origins`; no line ends inside of an origin."""
    fixed = text.replace(" ", _FIXED).replace(f";{_FIXED}", "; ")
    return wrapped(fixed, width, first, others)


def show_values(array: Array) -> str:
    """The elements of an array, or of a large one how many there are in which range."""
    values = array.ravel()
    if values.size <= _MOST_VALUES:
        return ", ".join(str(value) for value in values) or "no elements"
    return f"{values.size} values from {values.min()} to {values.max()}"
