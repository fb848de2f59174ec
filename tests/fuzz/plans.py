"""Builds and runs native plans with mistakes in them, and prints what became of them.

    python tests/fuzz/plans.py --count 100000

A plan is refused, or it stays within its buffers, which lie between pages that can't be touched.
`tests/backends/test_hostile_plans.py` is the short form. docs/reliability.md has the last figures.
With a native module that was built with -fsanitize=address or undefined, the sanitizer's library
has to be loaded first: LD_PRELOAD=$(gcc -print-file-name=libasan.so).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.hostile_plans import plans, run_seeds


def main() -> int:
    """The exit code is 1 where a plan has ended its process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    specs = plans()
    result = run_seeds(specs, options.first, options.count)
    crashes = result.pop("crashes")
    counts = ", ".join(f"{n:,} {what}" for what, n in result.items())
    found = f"left their buffers: (seed, status) {crashes}" if crashes else "none left its buffers"
    print(f"{options.count:,} plans, made of {len(specs)}: {counts}; {found}")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
