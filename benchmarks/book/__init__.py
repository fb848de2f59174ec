"""Epochs of the book's networks beside PyTorch's."""
