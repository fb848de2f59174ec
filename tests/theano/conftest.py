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
    finders, modules = list(sys.meta_path), set(sys.modules)
    drop_in = import_module("tinygrad_mnist.theano")
    import_module("tinygrad_mnist.theano.finder").install()
    import_module("tinygrad_mnist.theano.flags").start(import_module("tinygrad_mnist").config)
    yield drop_in
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("theano", "network3", "mnist_loader"):
            del sys.modules[name]
