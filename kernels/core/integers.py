"""Arithmetic of integers with which work is cut: quotients rounded up, equal shares."""

from __future__ import annotations


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def round_up(n: int, step: int) -> int:
    """The least multiple of `step` that is not less than n."""
    return ceil_div(n, step) * step


def blocks_for(n: int, per_block: int) -> int:
    """How many blocks cover n elements. At least one, because a grid can't be empty."""
    return max(1, ceil_div(n, per_block))


def even_share(n: int, at_most: int) -> int:
    """The size of equal shares of n, none larger than `at_most`."""
    return ceil_div(n, ceil_div(n, max(1, at_most)))


def power_of_two(n: int) -> int:
    """The least power of two that is not less than n; 1 for 0."""
    return 1 << max(0, n - 1).bit_length()
