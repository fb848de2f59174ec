"""Matrix products."""

from . import gemm

__all__ = ["gemm"]
