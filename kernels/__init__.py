"""Numba-CUDA kernels, one file per family; installed as `tinygrad_mnist.kernels`."""
