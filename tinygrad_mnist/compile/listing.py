"""Numbers in listings: counts with their nouns, and large values with a decimal prefix."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """A number and its noun: `1 slot`, `2 slots`, `3 temporaries`."""
    if n == 1:
        return f"{n} {noun}"
    return f"{n} {noun.removesuffix('y')}ies" if noun.endswith("ry") else f"{n} {noun}s"


def scaled(value: float) -> str:
    """Three digits and a decimal prefix: `0 `, `950 `, `1.23 k`, `45.6 M`, `789 G`."""
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            digits = 0 if prefix == "" or value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f} {prefix}"
        value /= 1000
    return f"{value:.0f} T"
