"""Numba-CUDA kernels, one file per family; installed as `tinygrad_mnist.kernels`.

A family has a *factory* per contract: it gets a `Call`, all numbers of which are known, and returns
the launches that carry it out. Nothing here knows plans, or where memory comes from.
"""
