"""Where code for GPUs is kept from process to process."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """TINYGRAD_MNIST_CUDA_CACHE, or a folder in the user's cache by the platform's custom."""
    wish = os.environ.get("TINYGRAD_MNIST_CUDA_CACHE")
    if wish:
        return Path(wish)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "tinygrad_mnist" / "cuda"
