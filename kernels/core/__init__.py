"""Modules that the kernels of every family use."""
