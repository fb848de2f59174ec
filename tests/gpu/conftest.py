"""Tests of the CUDA kernels run in one of four modes, each in a process of its own.

Numba's simulator replaces its compiler in a whole process. Without TINYGRAD_MNIST_GPU_TESTS,
`test_modes.py` runs the tests that are marked with a mode in other processes: one for `sim`, and
two each that divide those of `compile` and of `ptx`. These start with the session and run in
parallel to its other tests; it waits for them at the end. In a session with workers, the process
that divides the tests starts them (tests/conftest.py). On a machine with a GPU,
TINYGRAD_MNIST_GPU_TESTS=gpu runs the tests there.
"""

from __future__ import annotations

import os

import pytest
from helpers.gpu import MODE
from helpers.gpu_modes import MODES_HERE, start_modes

if MODE == "sim":
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # before anything imports Numba

MODES = ("sim", "compile", "ptx", "gpu")


# Tests that use the same steps of nets, whose kernels they compile: they have a share of their own.
OF_STEPS = ("test_ptx_mutants.py", "test_ptx_steps.py")


def share_of(item: pytest.Item, place: int, of: int) -> int:
    """The share of a mode's tests that one belongs to, by its place among them."""
    if MODE != "ptx" or of == 1:
        return place % of
    return 0 if item.path.name in OF_STEPS else 1 + place % (of - 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    keep, drop, last = [], [], []
    for item in items:
        wanted = {mark.name for mark in item.iter_markers()} & set(MODES)
        if wanted and MODE not in wanted:
            drop.append(item)
        elif item.path.name == "test_modes.py":
            last.append(item)
        else:
            keep.append(item)
    share, of = map(int, os.environ.get("TINYGRAD_MNIST_GPU_SHARE", "0/1").split("/"))
    if MODE:
        ours = [share_of(item, place, of) == share for place, item in enumerate(keep)]
        drop += [item for item, is_ours in zip(keep, ours, strict=True) if not is_ours]
        keep = [item for item, is_ours in zip(keep, ours, strict=True) if is_ours]
    items[:] = keep + last
    config.hook.pytest_deselected(items=drop)


def pytest_collection_finish(session: pytest.Session) -> None:
    names = {item.name for item in session.items if item.path.name == "test_modes.py"}
    is_worker = hasattr(session.config, "workerinput")  # of a session that has started them
    if MODE is None and not is_worker and not session.config.option.collectonly:
        modes = [mode for mode in MODES_HERE if f"test_mode[{mode}]" in names]
        if modes:
            start_modes(modes)
