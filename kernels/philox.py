"""Philox4x32-10 on the device: the bits of `contracts/philox.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

UNIFORM: dict[str, Callable[..., Any]] = {}
