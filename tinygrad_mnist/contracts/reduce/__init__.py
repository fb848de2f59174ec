"""Reductions, recurrences, orders and extremes along an axis, and the softmax family."""

from . import argmax, argsort, cumsum, grouped_reduce, recurrence, reduce, softmax, softmax_layer

__all__ = [
    "argmax",
    "argsort",
    "cumsum",
    "grouped_reduce",
    "recurrence",
    "reduce",
    "softmax",
    "softmax_layer",
]
