"""Reads files with mistakes in them, and prints what became of them.

    python tests/fuzz/files.py --count 10000

A file is read, or refused with an error of its reader that names it: within two seconds, and within
the memory that `--megabytes` allows. `tests/datasets/test_mutated_files.py` is the short form.
docs/reliability.md has the last figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.hostile_files import peak_megabytes, readers, run


def main() -> int:
    """The exit code is 1 where a file had another end, or memory grew beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=10_000, help="files of each kind")
    parser.add_argument("--only", nargs="+", help="kinds of files")
    parser.add_argument("--megabytes", type=int, default=3000)
    options = parser.parse_args()
    is_good, files, kinds = True, 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        for kind, reader in readers(Path(temporary)).items():
            if options.only and kind not in options.only:
                continue
            outcomes, wrong = run(reader, Path(temporary), options.first, options.count)
            counts = ", ".join(f"{what} {n:,}" for what, n in sorted(outcomes.items()))
            print(f"{kind}: {counts}; at most {peak_megabytes():,} MiB so far", flush=True)
            for what, seed in wrong.items():
                print(f"  seed {seed}: {what}")
            is_good &= not wrong and peak_megabytes() < options.megabytes
            files, kinds = files + options.count, kinds + 1
    found = "all read or refused" if is_good else "NOT ALL WELL"
    print(f"{files:,} files of {kinds} kinds, at most {peak_megabytes():,} MiB: {found}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
