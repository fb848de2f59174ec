"""Where nodes get no test values though `config.compute_test_value` is on: while plans are made,
and while expressions are made of variables that the program doesn't have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from tinygrad_mnist.config import config
from tinygrad_mnist.graph.operators import lookup
from tinygrad_mnist.graph.traversal import toposort

F = TypeVar("F", bound=Callable[..., Any])


class _Pauses(threading.local):
    """How many pauses the thread is in."""

    count = 0


_pauses = _Pauses()


@contextmanager
def no_test_values() -> Iterator[None]:
    """Nodes that are made inside have no test values."""
    _pauses.count += 1
    try:
        yield
    finally:
        _pauses.count -= 1


def are_paused() -> bool:
    """Whether this runs inside `no_test_values`."""
    return _pauses.count > 0


def tested_at_the_end(make: F) -> F:
    """A function that makes a variable or several: their nodes get test values when all of them are
    there, since some are made of variables that have none."""

    @wraps(make)
    def made(*args: Any, **options: Any) -> Any:
        with no_test_values():
            results = make(*args, **options)
        if config.compute_test_value != "off" and not are_paused():
            several = results if isinstance(results, list | tuple) else [results]
            for node in toposort(several):
                if not all(hasattr(vars(v).get("tag"), "test_value") for v in node.outputs):
                    lookup("compute_test_value")(node)
        return results

    return made  # type: ignore[return-value]
