"""Puts mistakes into the Python code, one at a time, and counts those that the tests notice.

    python tests/mutation/run.py --count 200 --output mutants.jsonl

Mistakes are drawn at random (`--seed`) from the packages in `TESTS`. Each is made in a copy, and
the tests run there group by group until one fails: first those of the module, then those of its
package, then those of what is built on it. A run that was stopped goes on. docs/reliability.md has
the last figures; a mistake that nothing can notice, because the code does the same, is not taken
out of them by this program.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from mutants import Mutant, mutant, possible

import tinygrad_mnist

ROOT = Path(__file__).parents[2]
PACKAGE = "tinygrad_mnist"
# The folders whose code is tried, and the tests of what is built on them.
COMMON = ["test_autodiff.py", "test_tensor.py", "rewrite", "test_booknets.py"]
TESTS = {
    "rewrite": ["rewrite", "stability", "ops", *COMMON],
    "compile": ["compile", "functions", "ops", *COMMON],
    "functions": ["functions", "compile", "theano", *COMMON],
    "autodiff": ["gradient", "test_autodiff.py", "ops", *COMMON],
    "ops": ["ops", "tensor", "gradient", "theano", *COMMON],
}
# `pip install -e` puts a finder before the path, which would find the original.
WITHOUT_EDITABLE = """import sys

sys.meta_path = [f for f in sys.meta_path if "editable" not in type(f).__module__]
"""
LIMIT = 900  # seconds for a group of tests; more is a mistake that is noticed


def modules(folders: list[str]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / PACKAGE / folder).rglob("*.py"))


def draw(count: int, seed: int, folders: list[str]) -> Iterator[tuple[Path, Mutant]]:
    """Mistakes of all modules, each as likely as any other."""
    every = [(path, *change) for path in modules(folders) for change in possible(path.read_text())]
    random.Random(seed).shuffle(every)
    for path, number, kind in every[:count]:
        yield path, mutant(path.read_text(), number, kind)


def groups(path: Path) -> list[tuple[str, ...]]:
    """Tests that may notice a mistake in a module, those first that are the likeliest to."""
    folder = path.relative_to(ROOT / PACKAGE).parts[0]
    named = sorted((ROOT / "tests").rglob(f"test_{path.stem.strip('_')}.py"))
    first = tuple(str(p.relative_to(ROOT)) for p in named)
    rest = [(f"tests/{name}",) for name in dict.fromkeys(TESTS[folder])]
    return [first, *rest] if first else rest


def copied(folder: Path) -> Path:
    """A copy of the package, its compiled module and its tests."""
    native = Path(tinygrad_mnist._native.__file__)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=ignored)
    shutil.copytree(ROOT / "kernels", folder / PACKAGE / "kernels", ignore=ignored)
    shutil.copy(native, folder / PACKAGE)
    for name in ("tests", "docs", "examples", "pyproject.toml", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "sitecustomize.py").write_text(WITHOUT_EDITABLE)
    command = [sys.executable, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)"]
    found = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True)
    if not found.stdout.decode().startswith(str(folder)):
        raise SystemExit(f"the copy isn't what is imported: {found.stdout!r} {found.stderr!r}")
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def check_baseline(folder: Path, paths: Iterable[Path]) -> None:
    """Ends the program where a test fails without a mistake."""
    for group in dict.fromkeys(group for path in paths for group in groups(path)):
        failed = failure_of(folder, group)
        if failed is not None:
            raise SystemExit(f"without a mistake: {failed}")


def first_failure(folder: Path, path: Path) -> str | None:
    """The test that fails, or None."""
    return next(filter(None, (failure_of(folder, group) for group in groups(path))), None)


def failure_of(folder: Path, group: Iterable[str]) -> str | None:
    options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    command = [sys.executable, "-m", "pytest", *options, *group]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment(folder), capture_output=True, text=True,
            timeout=LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{' '.join(group)}: no end after {LIMIT} s"
    if done.returncode in (0, 5):  # passed, or no tests
        return None
    failed = [x for x in done.stdout.splitlines() if x.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else f"{' '.join(group)}: exit status {done.returncode}"


def attempt(folder: Path, path: Path, made: Mutant) -> dict[str, Any]:
    name = path.relative_to(ROOT)
    began = time.monotonic()
    (folder / name).write_text(made.source)
    try:
        noticed = first_failure(folder, path)
    finally:
        shutil.copy(path, folder / name)
    return {
        "file": str(name), "line": made.line, "kind": made.kind, "before": made.before,
        "after": made.after, "noticed": noticed, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    tried = Counter(row["file"].split("/")[1] for row in rows)
    seen = Counter(row["file"].split("/")[1] for row in rows if row["noticed"])
    counts = [(name, seen[name], tried[name]) for name in sorted(tried)]
    counts.append(("all", seen.total(), tried.total()))
    return "\n".join(f"{name:10} {k:5} of {n:5} noticed, {k / n:.0%}" for name, k, n in counts)


def main() -> None:
    """Tries the mistakes, and prints a line for each that isn't noticed, and a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folders", nargs="+", choices=sorted(TESTS), default=sorted(TESTS))
    parser.add_argument("--output", type=Path, default=Path("mutants.jsonl"))
    options = parser.parse_args()
    rows = []
    if options.output.exists():
        rows = [json.loads(line) for line in options.output.read_text().splitlines()]
    done = {(row["file"], row["line"], row["kind"], row["before"], row["after"]) for row in rows}
    with tempfile.TemporaryDirectory() as temporary:
        folder = copied(Path(temporary))
        drawn = list(draw(options.count, options.seed, options.folders))
        check_baseline(folder, (path for path, _ in drawn))
        for path, made in drawn:
            key = str(path.relative_to(ROOT)), made.line, made.kind, made.before, made.after
            if key in done:
                continue
            rows.append(attempt(folder, path, made))
            with options.output.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            if not rows[-1]["noticed"]:
                print(f"{key[0]}:{key[1]}: {made.before}  ->  {made.after}", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
