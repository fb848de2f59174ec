"""`tf.test`: whether there is a GPU."""

from __future__ import annotations

from tinygrad_mnist.tf.config import list_logical_devices


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: object = None) -> bool:
    """Whether this package can use a GPU of this machine; all it can use have CUDA."""
    return bool(list_logical_devices("GPU"))


def gpu_device_name() -> str:
    """The name of the first GPU that can be used, '/device:GPU:0'; empty without one."""
    return next((device.name for device in list_logical_devices("GPU")), "")


def is_built_with_cuda() -> bool:
    """True: kernels for NVIDIA's GPUs are part of the package."""
    return True


__all__ = [
    "gpu_device_name",
    "is_built_with_cuda",
    "is_gpu_available",
]
