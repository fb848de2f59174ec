"""Where files are kept for the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache(part: str) -> Path:
    """The package's folder `part` in the user's cache, by the platform's custom.

    It need not exist. On Linux $XDG_CACHE_HOME is heeded, on Windows %LOCALAPPDATA%.
    """
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "tinygrad_mnist" / part
