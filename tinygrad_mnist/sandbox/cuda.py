"""Theano's older module of the GPU: whether there is one, and its use."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.backends import GPUS, gpu_backends
from tinygrad_mnist.config import config


def use(device: str, *options: Any, **more: Any) -> None:
    """Functions that are made from now on run on this GPU, such as 'gpu0'; Theano's options have
    no effect. Raises DeviceError if it can't be used."""
    config.device = device


def dnn_available() -> bool:
    """Whether there is cuDNN. There never is: the kernels are this package's own."""
    return False


def __getattr__(name: str) -> bool:
    if name == "cuda_available":
        return bool(gpu_backends().is_usable("cuda"))
    if name == "cuda_enabled":
        return config.device in GPUS
    raise AttributeError(f"theano.sandbox.cuda has no {name!r} here", name=name)


__all__ = ["cuda_available", "cuda_enabled", "dnn_available", "use"]  # noqa: F822
