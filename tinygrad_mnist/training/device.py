"""The GPU flag: its check, and its effect on the device of new functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinygrad_mnist.backends import GPUS, backend
from tinygrad_mnist.config import config
from tinygrad_mnist.graph.values import flag


def check_gpu(wanted: bool) -> None:
    """Raises DeviceError if a GPU is wanted and can't be used; its message says what is missing."""
    if flag(wanted, "network3.GPU"):
        backend(_device(wanted))


@contextmanager
def on_gpu(wanted: bool) -> Iterator[None]:
    """Functions made inside run on the GPU if it is wanted, else on `config.device`.

    Raises DeviceError as `check_gpu` does: the setting refuses what can't be used.
    """
    before = config.device
    config.device = _device(wanted)
    try:
        yield
    finally:
        config.device = before


@contextmanager
def on_host() -> Iterator[None]:
    """Functions made inside run on the host: what runs once isn't worth compiling for a GPU."""
    before = config.device
    config.device = "cpu" if before in (*GPUS, "auto") else before
    try:
        yield
    finally:
        config.device = before


def _device(wanted: bool) -> str:
    return "cuda" if wanted and config.device not in GPUS else config.device
