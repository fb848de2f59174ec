"""Elementwise work: tapes, conversions, copies and random numbers."""

from . import elementwise

__all__ = ["elementwise"]
