"""The settings to try: ranges, and the points of a grid or of a random search."""

from __future__ import annotations

import itertools
import json
import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import integer, number, shown

Settings = dict[str, Any]
_DIGITS = 6  # significant digits of a drawn float, so that tables and files are easy to read


class Range(ABC):
    """The values that a setting can have."""

    @property
    @abstractmethod
    def values(self) -> list[Any] | None:
        """All values, in order; None if there are infinitely many."""

    @abstractmethod
    def draw(self, u: float) -> Any:
        """The value for u, a number in [0, 1)."""


@dataclass(frozen=True)
class Choice(Range):
    """One of several values, each as likely as the others."""

    options: tuple[Any, ...]

    @property
    def values(self) -> list[Any]:
        return list(self.options)

    def draw(self, u: float) -> Any:
        return self.options[int(u * len(self.options))]


@dataclass(frozen=True)
class Uniform(Range):
    """A float from low to high, or its logarithm is uniform."""

    low: float
    high: float
    is_log: bool = False

    @property
    def values(self) -> None:
        return None

    def draw(self, u: float) -> float:
        if self.is_log:
            value = self.low * math.exp(u * math.log(self.high / self.low))
        else:
            value = self.low + u * (self.high - self.low)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Integers(Range):
    """An integer of a Python range."""

    of: range

    @property
    def values(self) -> list[int]:
        return list(self.of)

    def draw(self, u: float) -> int:
        return self.of[int(u * len(self.of))]


def choice(*values: Any) -> Choice:
    """One of the values: `choice(16, 32)` or `choice([16, 32])`. A list in a space is the same.

    A value is a number, text, True, False, None, or a list of these.

    Raises ArgumentError without values, or where one is there twice; GraphTypeError for others.
    """
    given = values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values
    options = tuple(_plain(value, "a value of choice") for value in given)
    if not options:
        raise ArgumentError("choice has no values")
    if len({key_of(value) for value in options}) != len(options):
        raise ArgumentError(f"choice has a value twice: {shown(list(options))}")
    return Choice(options)


def uniform(low: float, high: float) -> Uniform:
    """A float from low to high. Raises ArgumentError unless low < high, both finite."""
    return Uniform(*_bounds(low, high, "uniform"))


def log_uniform(low: float, high: float) -> Uniform:
    """A float whose logarithm is uniform, such as a learning rate. Raises ArgumentError unless
    0 < low < high."""
    bounds = _bounds(low, high, "log_uniform")
    if bounds[0] <= 0:
        raise ArgumentError(f"log_uniform({low}, {high}): both bounds must be positive")
    return Uniform(*bounds, is_log=True)


def integers(low: int, high: int, step: int = 1) -> Integers:
    """An integer from low to high, both included. Raises ArgumentError if there is none."""
    first, last = integer(low, "low of integers"), integer(high, "high of integers")
    if last < first:
        raise ArgumentError(f"integers({first}, {last}) has no values")
    return Integers(range(first, last + 1, integer(step, "step of integers", 1)))


def _bounds(low: float, high: float, name: str) -> tuple[float, float]:
    bounds = number(low, f"low of {name}"), number(high, f"high of {name}")
    if not (all(map(math.isfinite, bounds)) and bounds[0] < bounds[1]):
        raise ArgumentError(f"{name}({low}, {high}): low must be below high, and both finite")
    return bounds


def _plain(value: Any, what: str) -> Any:
    """A value that JSON can keep; NumPy's numbers become Python's, lists stay what they are."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return type(value)(_plain(part, what) for part in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise GraphTypeError(
        f"{what} is {shown(value)}; it must be a number, text, True, False, None or a list of"
        " these (for an object, take its name, and make it in the objective)"
    )


def key_of(value: Any) -> str:
    """What identifies a value or settings, also after they were in a file: their JSON."""
    return json.dumps(value, sort_keys=True)


def listed(points: Sequence[Any]) -> list[Settings]:
    """The points of a space that is a list of settings. Here a list is a value like others.

    Raises ArgumentError for an empty list, settings that are there twice, or with different names;
    GraphTypeError for what are no settings.
    """
    if not points:
        raise ArgumentError("space is empty: list at least one dict of settings")
    made = []
    for given in points:
        if not isinstance(given, Mapping):
            raise GraphTypeError(f"space has {shown(given)}; each must be a dict of settings")
        if given.keys() != points[0].keys():
            raise ArgumentError(
                f"space has settings of {', '.join(map(str, given)) or 'nothing'} behind those of"
                f" {', '.join(map(str, points[0])) or 'nothing'}; all must have the same names"
            )
        ranges({name: Choice((value,)) for name, value in given.items()})  # checks the names
        made.append({name: _plain(v, f"setting {name!r}") for name, v in given.items()})
    if len({key_of(point) for point in made}) != len(made):
        raise ArgumentError("space has the same settings twice")
    return made


def ranges(space: object) -> dict[str, Range]:
    """The ranges of a space by name. A list or tuple is a choice; any other plain value is the
    only one.

    Raises ArgumentError for an empty space; GraphTypeError for what is no space.
    """
    if not isinstance(space, Mapping):
        raise GraphTypeError(f"space is {shown(space)}; it must be a dict of names and ranges")
    if not space:
        raise ArgumentError("space is empty: name at least one setting and its values")
    made = {}
    for name, given in space.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise GraphTypeError(f"{shown(name)} can't be the name of a setting")
        if isinstance(given, Range):
            made[name] = given
            continue
        try:
            is_list = isinstance(given, list | tuple | range)
            made[name] = choice(list(given)) if is_list else Choice((_plain(given, "it"),))
        except (ArgumentError, GraphTypeError) as error:
            raise type(error)(f"setting {name!r}: {error}") from None
    return made


def grid(of: Mapping[str, Range]) -> list[Settings]:
    """Every combination; the last setting changes fastest. Raises ArgumentError for a range with
    infinitely many values."""
    columns = []
    for name, values in ((name, each.values) for name, each in of.items()):
        if values is None:
            raise ArgumentError(
                f"setting {name!r} has infinitely many values, so there is no grid: give `runs`,"
                " the number of random settings to try, or list values"
            )
        columns.append(values)
    return [dict(zip(of, point, strict=True)) for point in itertools.product(*columns)]


def sample(of: Mapping[str, Range], runs: int, seed: int) -> list[Settings]:
    """`runs` different points, drawn at random; all, if there are no more.

    The first points are the same for any `runs`, and a setting's values don't depend on which
    others there are.
    """
    sizes = [None if each.values is None else len(each.values) for each in of.values()]
    size = None if None in sizes else math.prod(n for n in sizes if n is not None)
    wanted = runs if size is None else min(runs, size)
    points: dict[str, Settings] = {}
    for point in _draws(of, seed):
        if len(points) == wanted:
            break
        points.setdefault(key_of(point), point)
    return list(points.values())


def _draws(of: Mapping[str, Range], seed: int) -> Iterator[Settings]:
    streams = {name: np.random.default_rng([seed, zlib.crc32(name.encode())]) for name in of}
    while True:
        yield {name: each.draw(streams[name].random()) for name, each in of.items()}
