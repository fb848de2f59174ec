"""Plans on a GPU: Numba-CUDA kernels, replayed as one CUDA graph per function and shapes."""

from __future__ import annotations

from tinygrad_mnist.backends.cuda.backend import cuda_backend, is_usable, ptx_backend

__all__ = ["cuda_backend", "is_usable", "ptx_backend"]
