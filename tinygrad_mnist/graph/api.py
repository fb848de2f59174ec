"""The registry of API functions, such as `add` or `mean`.

An op's own file registers them by name with `@api_function`. Variables look them up for their
operators and methods, so that the graph imports no op.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_API_FUNCTIONS: dict[str, Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")


def api_function(function: F) -> F:
    """Registers a function of variables under its name, so that operators can call it."""
    _API_FUNCTIONS[function.__name__.rstrip("_")] = function
    return function


def lookup(name: str) -> Callable[..., V]:
    """The function registered under a name; NotImplementedError where there is none."""
    try:
        return _API_FUNCTIONS[name]
    except KeyError:
        raise NotImplementedError(f"variables have no {name}() here: see docs/theano.md") from None


def is_registered(name: str) -> bool:
    """Whether there is a function of that name."""
    return name in _API_FUNCTIONS
