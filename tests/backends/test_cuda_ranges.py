"""Ranges for NVIDIA's profilers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tinygrad_mnist.backends.cuda import ranges
from tinygrad_mnist.backends.cuda.ranges import ranged, span
from tinygrad_mnist.config import config


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a profiler would record."""
    recorded: list[str] = []

    @contextmanager
    def annotate(name: str, domain: str) -> Iterator[None]:
        recorded.append(f"{domain}: {name}")
        yield
        recorded.append("end")

    monkeypatch.setattr(ranges, "_annotate", lambda: annotate)
    return recorded


def test_ranges_are_there_when_they_are_asked_for(seen: list[str]) -> None:
    config.debug = 0
    with span("quiet"):
        pass
    assert seen == []
    with span("profile", always=True):
        seen.append("inside")
    config.debug = 1
    assert ranged("add")(lambda a, b=0: a + b)(1, b=2) == 3
    assert seen == [
        "tinygrad_mnist: profile",
        "inside",
        "end",
        "tinygrad_mnist: add",
        "end",
    ]


def test_without_the_package_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(ranges, "import_module", lack)
    ranges._annotate.cache_clear()
    ran = False
    with span("profile", always=True):
        ran = True
    ranges._annotate.cache_clear()
    assert ran


def test_the_package_is_used_where_it_is() -> None:
    nvtx = pytest.importorskip("nvtx", reason="no nvtx: pip install nvtx")
    assert isinstance(span("profile", always=True), nvtx.annotate)
