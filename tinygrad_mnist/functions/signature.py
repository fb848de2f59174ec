"""A function's inputs in their order: positions, keywords, defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.functions.arguments import Parameter


class Signature:
    """The parameters of a function, which messages call `name`."""

    def __init__(self, parameters: Sequence[Parameter], name: str | None) -> None:
        self.parameters = tuple(parameters)
        self._label = name or "the function"
        names = [p.name for p in parameters if p.name is not None]
        self._positions = {p.name: i for i, p in enumerate(parameters) if p.name is not None}
        self._ambiguous = {n for n in names if names.count(n) > 1}

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """A value per parameter: the caller's, else the default, else None.

        Raises GraphTypeError for values that are missing, too many, given twice, for unknown names,
        or for implicit parameters.
        """
        if len(args) > len(self.parameters):
            raise GraphTypeError(
                f"{self._label} takes {len(self.parameters)} values, not {len(args)}"
            )
        given = dict(enumerate(args))
        for name, value in kwargs.items():
            position = self._positions.get(name)
            if position is None or position in given:
                raise GraphTypeError(f"{self._label} has no input {name!r} left to set")
            if name in self._ambiguous:
                raise GraphTypeError(
                    f"{self._label} has several inputs called {name!r}; give them by position"
                )
            given[position] = value
        implicit = [i for i in given if self.parameters[i].implicit]
        if implicit:
            raise GraphTypeError(
                f"{self.parameters[implicit[0]].label} is implicit: it can't be given a value"
            )
        missing = [
            p.label
            for i, p in enumerate(self.parameters)
            if i not in given and p.default is None and p.state is None
        ]
        if missing:
            raise GraphTypeError(f"{self._label} needs a value for {', '.join(missing)}")
        return [given.get(i, p.default) for i, p in enumerate(self.parameters)]

    def find(self, key: Any) -> Parameter:
        """The parameter with this name, position or variable; KeyError if there is none."""
        for position, parameter in enumerate(self.parameters):
            if (
                parameter.variable is key
                or (type(key) is type(position) and key == position)
                or (isinstance(key, str) and key == parameter.name)
            ):
                return parameter
        raise KeyError(f"{self._label} has no input {key!r}")
