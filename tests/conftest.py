"""Fixtures that several test folders share, and how the suite is divided among processes.

`pytest` alone runs the whole suite in a worker for each processor (pytest-xdist), file by file.
With paths, or options that select tests, it runs them in its own process, unless `-n` says
otherwise.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from helpers.backends import DEVICES, making_functions_for
from helpers.gpu_modes import MODES_HERE, start_modes
from helpers.small_mnist import small_arrays, write_idx_folder
from hypothesis import settings

from tinygrad_mnist import config
from tinygrad_mnist.datasets import FASHION, DatasetNotFoundError, locate
from tinygrad_mnist.network3 import Network
from tinygrad_mnist.training import History

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

settings.register_profile("untimed", deadline=None)  # other work on the machine is no failure
settings.load_profile("untimed")

# A shell's background job ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_whole_suite(config: pytest.Config) -> bool:
    options = ("keyword", "markexpr", "deselect", "lf", "stepwise", "collectonly")
    selects = any(config.getoption(name, None) for name in options)
    return config.args_source == pytest.Config.ArgsSource.TESTPATHS and not selects


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The number of workers for `-n auto`, which pyproject.toml has; 0: none."""
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    return processors if processors and processors > 1 and _is_whole_suite(config) else 0


NO_LIMIT = "TINYGRAD_MNIST_TESTS_NO_LIMIT"  # set by tests/sanitizers.py: they map terabytes
MOST_MEMORY = 12 << 30  # bytes that a test process may take; a planner that never ends takes more


def pytest_configure(config: pytest.Config) -> None:
    """Limits the memory of this process and of those that it starts."""
    if resource is None or NO_LIMIT in os.environ:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    lower = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([MOST_MEMORY, *lower]), hard))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where this process only divides the tests, it starts the modes of those of a GPU, too."""
    if session.config.pluginmanager.hasplugin("dsession") and _is_whole_suite(session.config):
        start_modes(MODES_HERE)


@pytest.fixture(autouse=True)
def _settings_as_before() -> Iterator[None]:
    """Undoes what a test sets in `config`: every setting, also those read from the environment."""
    before = {slot: copy(getattr(config, slot)) for slot in type(config).__slots__}
    yield
    for slot, value in before.items():
        setattr(config, slot, value)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every backend in turn; functions made in the test run on it."""
    with making_functions_for(request.param):
        yield request.param


@pytest.fixture(scope="session")
def mnist_path() -> Path:
    """The real MNIST, as a file or folder that `load_mnist` reads; no test downloads it.

    It is looked for in the usual places; where it is in none of them, the test is skipped.
    """
    return _real_data(None)


@pytest.fixture(scope="session")
def fashion_mnist_path() -> Path:
    """The real Fashion-MNIST, as `mnist_path`."""
    return _real_data(FASHION)


def _real_data(name: str | None) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged files: the reason names them
        try:
            return locate(name, fetch=False).path.resolve()
        except DatasetNotFoundError as error:
            places = "; ".join(f"{a.place}: {a.problem}" for a in error.attempts)
            pytest.skip(f"needs {name or 'MNIST'} ({places})")


@pytest.fixture
def small_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run in an empty folder, beside a folder `data` as in the book's repository, and
    find 50 training, 10 validation and 20 test images.
    """
    write_idx_folder(tmp_path / "small", small_arrays(training=60, test=20))
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(tmp_path / "small"))
    for name in ("data", "src"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "src")


@pytest.fixture
def one_epoch(small_mnist: None, monkeypatch: pytest.MonkeyPatch) -> list[History]:
    """SGD on `small_mnist` stops after one epoch; gives the histories."""
    histories: list[History] = []
    whole = Network.SGD

    def short(self: Network, data: Any, epochs: int, *args: Any, **options: Any) -> History:
        histories.append(whole(self, data, 1, *args, **options))
        return histories[-1]

    monkeypatch.setattr(Network, "SGD", short)
    return histories
