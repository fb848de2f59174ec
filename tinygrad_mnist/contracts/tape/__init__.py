"""Elementwise work: tapes, conversions, copies and random numbers."""

from . import elementwise, philox

__all__ = ["elementwise", "philox"]
