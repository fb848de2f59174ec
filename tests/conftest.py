"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.backends import DEVICES, making_functions_for
from hypothesis import settings

from tinygrad_mnist import config

settings.register_profile("untimed", deadline=None)  # other work on the machine is no failure
settings.load_profile("untimed")

_BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"


# A shell's background job ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _settings_as_before() -> Iterator[None]:
    """Undoes what a test sets in `config`."""
    names = ("floatX", "device", "threads", "plan_cache_size", "debug", "on_unused_input")
    before = {name: getattr(config, name) for name in names}
    yield
    for name, value in before.items():
        setattr(config, name, value)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every backend in turn; functions made in the test run on it."""
    with making_functions_for(request.param):
        yield request.param


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of the four real IDX files; the test is skipped where they are absent."""
    wish = os.environ.get("TINYGRAD_MNIST_DATA")
    folder = Path(wish) if wish else _BESIDE_THE_REPOSITORY
    if not any(folder.glob("train-images*")):
        pytest.skip(f"no MNIST files in {folder}; name their folder in $TINYGRAD_MNIST_DATA")
    return folder
