"""Compares random expressions and their gradients with mpmath, and prints what share is right.

    python tests/random_expressions.py --count 20000

`tests/stability/test_random.py` is the short form. docs/stability.md has the figures and says which
bound is meant.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from helpers.random_stable import BOUND, KINDS, compare


def report(first: int, count: int, dtype: str) -> None:
    """Prints the figures of expressions with the seeds `first` and following."""
    kinds: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    cases = right = claims = 0
    for seed in range(first, first + count):
        outcome = compare(seed, dtype)
        kinds.update(outcome.kinds)
        if not outcome.claims:
            continue
        cases += 1
        claims += outcome.claims
        right += not outcome.wrong
        wrong.update(set(outcome.wrong))
        if outcome.wrong:
            print(f"seed {seed}: {', '.join(sorted(set(outcome.wrong)))}", flush=True)
    print(f"{dtype}: {count} expressions, {cases} with numbers in range, {claims} numbers")
    print(f"all numbers within {BOUND[dtype]:g}: {right} expressions, {right / cases:.2%}")
    for kind, n in wrong.most_common():
        print(f"  {n:5d}  {kind}")
    print(", ".join(f"{kind} in {kinds[kind] / count:.0%}" for kind in KINDS))


def main() -> None:
    """Reads the options and prints a report per dtype."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--dtypes", default="float32,float64")
    options = parser.parse_args()
    for dtype in options.dtypes.split(","):
        report(options.first, options.count, dtype)


if __name__ == "__main__":
    main()
