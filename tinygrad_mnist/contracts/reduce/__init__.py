"""Reductions, argmax and argmin, and the softmax family."""

from . import argmax, grouped_reduce, reduce, softmax

__all__ = ["argmax", "grouped_reduce", "reduce", "softmax"]
