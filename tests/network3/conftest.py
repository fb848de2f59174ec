"""Fixtures of the tests of network3."""

from __future__ import annotations

import pytest

from tinygrad_mnist.config import config


@pytest.fixture(params=["float32", "float64"])
def each_float(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(config, "floatX", request.param)
    return str(request.param)


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", "float64")
