"""Random distortions of images."""

from . import distort

__all__ = ["distort"]
