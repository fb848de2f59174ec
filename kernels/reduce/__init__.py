"""Reductions, cumulative sums, argmax and argmin, and the softmax family."""
