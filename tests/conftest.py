"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of the four real IDX files; the test is skipped where they are absent."""
    wish = os.environ.get("TINYGRAD_MNIST_DATA")
    folder = Path(wish) if wish else _BESIDE_THE_REPOSITORY
    if not any(folder.glob("train-images*")):
        pytest.skip(f"no MNIST files in {folder}; name their folder in $TINYGRAD_MNIST_DATA")
    return folder
