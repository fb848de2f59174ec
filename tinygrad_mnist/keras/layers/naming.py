"""Names of layers and models that are given none, as Keras gives them: dense, dense_1, ..."""

from __future__ import annotations

import re
import threading
from collections import Counter

_taken: Counter[str] = Counter()
_lock = threading.Lock()


def auto_name(class_name: str) -> str:
    """The next name for a class, such as max_pooling2d and max_pooling2d_1 for MaxPooling2D."""
    name = snake_case(class_name)
    with _lock:
        number = _taken[name]
        _taken[name] += 1
    return f"{name}_{number}" if number else name


def reset_names() -> None:
    """Names begin anew: the next Dense is `dense`."""
    with _lock:
        _taken.clear()


def snake_case(name: str) -> str:
    """A class's name in lower case, with underscores between its words."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
