"""Batch normalisation and its gradient."""

from . import batch_norm

__all__ = ["batch_norm"]
