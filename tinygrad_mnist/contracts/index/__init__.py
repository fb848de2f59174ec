"""Indexing by integer arrays, and the check of their range."""

from . import check_range, gather, scatter

__all__ = ["check_range", "gather", "scatter"]
