"""Reductions, cumulative sums, argmax and argmin, and the softmax family."""

from . import argmax, cumsum, grouped_reduce, reduce, softmax

__all__ = ["argmax", "cumsum", "grouped_reduce", "reduce", "softmax"]
