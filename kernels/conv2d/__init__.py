"""Convolutions, their gradients, and the forms fused with a max-pool."""
