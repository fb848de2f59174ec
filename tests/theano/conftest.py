"""The drop-in, for one test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def drop_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`import theano` is this package, with Theano's settings, until the end of the test."""
    for name in ("THEANO_FLAGS", "OMP_NUM_THREADS", "TINYGRAD_MNIST_FLOATX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THEANORC", "")
    folder = str(Path(__file__).parents[1])  # it has folders of these names
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != folder])
    finders = list(sys.meta_path)
    forget()
    drop_in = import_module("tinygrad_mnist.theano")
    finder = import_module("tinygrad_mnist.theano.finder")
    finder.install()
    finder.begin()
    yield drop_in
    sys.meta_path[:] = finders
    forget()


def forget() -> None:
    """Removes the modules that programs for Theano import."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("theano", "network3", "mnist_loader"):
            del sys.modules[name]
