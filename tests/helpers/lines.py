"""The lines of a test that error messages name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def made_in(file: str) -> str:
    """A pattern for the rest of a message that ends with a line of `file`."""
    return rf"(?s:.*)made at .*{re.escape(Path(file).name)}:\d+"


def line_of(function: Any, offset: int) -> str:
    """The file and line `offset` lines below the first of a test, as errors name it."""
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno + offset}"
