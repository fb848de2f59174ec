"""Numba-CUDA kernels, one folder per family; installed as `tinygrad_mnist.kernels`.

A family has a *factory* per contract. It takes a `Call`, in which all shapes, strides and
parameters are numbers, and returns the launches that compute it. Nothing here depends on plans or
on how memory is allocated.
"""
