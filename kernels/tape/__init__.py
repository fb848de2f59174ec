"""Elementwise operations: tapes, conversions, copies and random numbers."""
