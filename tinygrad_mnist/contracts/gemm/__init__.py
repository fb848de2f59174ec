"""Matrix products."""

from . import gemm, integer_gemm

__all__ = ["gemm", "integer_gemm"]
