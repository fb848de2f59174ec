"""Named ranges of time for NVIDIA's profilers (NVTX), if the package `nvtx` is installed.

They are recorded if `config.debug` is at least 1, and in every profile. Otherwise they cost one
comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from tinygrad_mnist.config import config

_P = ParamSpec("_P")
_R = TypeVar("_R")
_NOTHING = nullcontext()


def span(name: str, always: bool = False) -> AbstractContextManager[Any]:
    """A context manager that records the range `name`. always: even if `config.debug` is 0."""
    if not (always or config.debug):
        return _NOTHING
    annotate = _annotate()
    if annotate is None:
        return _NOTHING
    made: AbstractContextManager[Any] = annotate(name, domain="tinygrad_mnist")
    return made


def ranged(name: str, always: bool = False) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A decorator: every call of the function is recorded as a range."""

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with span(name, always):
                return function(*args, **kwargs)

        return call

    return decorate


@cache
def _annotate() -> Any:
    """`nvtx.annotate`, or None without the package."""
    try:
        return import_module("nvtx").annotate
    except ModuleNotFoundError:
        return None
