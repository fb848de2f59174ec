"""Pauses Python's garbage collector while a graph is built, or a CUDA kernel compiled.

Both make many small objects that all stay. The collector looks through them again and again as
their number grows, which takes up to half of the time of a graph, and a sixth of a kernel's.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pauses the cyclic collector inside a `with`.

    It must not decorate: a frame of the decorator would be taken for the user's line.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
