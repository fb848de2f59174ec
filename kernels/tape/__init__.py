"""Elementwise work: tapes, conversions, copies and random numbers."""
