"""Reductions, argmax and argmin, and the softmax family."""
