"""Pooling without a convolution."""
