"""Puts mistakes into the Python code, one at a time, and counts those that the tests notice.

    pip install coverage
    python tests/mutation/run.py --count 60 --output mutants.jsonl

Of each folder, `--count` mistakes are drawn at random (`--seed`). A map says which tests run which
lines; it is made first where `--map` has none, which takes as long as these tests, and is to be
made again when the code has changed. Of a mistake, only tests that run its line are tried, until
one fails: as many as take `--seconds`. A run that was stopped goes on.

tests/mutation/survivors.md has the last figures, and says why mistakes aren't noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from coverage_map import ROOT, CoverageMap, MapMaker
from mutants import Mutant, possible
from trial import OPTIONS, Trials

# The folders whose code is tried, and their tests. What the tests in Numba's simulator don't notice
# is tried again with the kernels' PTX, which shows races and wrong addresses, too.
CODE = {
    "cpu": [f"tinygrad_mnist/{x}" for x in ("rewrite", "compile", "functions", "autodiff", "ops")],
    "sim": ["kernels"],
    "ptx": ["kernels"],
}
TESTS = {
    "cpu": [
        "compile", "functions", "gradient", "ops", "printing", "profiling", "rewrite", "stability",
        "tensor", "theano",
        "test_autodiff.py", "test_ifelse.py", "test_sharedvalue.py", "test_tensor.py",
        "test_updates.py",
    ],
    "sim": ["gpu"],
    "ptx": ["gpu/test_ptx_cases.py", "gpu/test_scalar.py", "gpu/test_index.py"],
}  # fmt: skip


def draw(count: int, seed: int, folder: str) -> Iterator[tuple[Path, int, str]]:
    """Mistakes of a folder, each as likely as any other: the module, and which it is there."""
    modules = sorted((ROOT / folder).rglob("*.py"))
    every = [(path, *change) for path in modules for change in possible(path.read_text())]
    random.Random(seed).shuffle(every)
    yield from every[:count]


def table(rows: list[dict[str, Any]]) -> str:
    def folder(row: dict[str, Any]) -> str:
        return row["file"].removeprefix("tinygrad_mnist/").split("/")[0]

    tried = Counter(map(folder, rows))
    seen = Counter(folder(row) for row in rows if row["noticed"])
    counts = [(name, seen[name], tried[name]) for name in sorted(tried)]
    counts.append(("all", seen.total(), tried.total()))
    return "\n".join(f"{name:10} {k:5} of {n:5} noticed, {k / n:.0%}" for name, k, n in counts)


def work(mode: str, options: argparse.Namespace) -> None:
    """Makes the map, or tries the mistakes that aren't in the output yet."""
    where = options.map.resolve() / mode
    tests = [str(ROOT / "tests" / name) for name in TESTS[mode]]
    if options.make_map:
        where.mkdir(parents=True, exist_ok=True)
        maker = MapMaker(where, [str(ROOT / folder / "*") for folder in CODE[mode]])
        pytest.main([*OPTIONS, *tests], plugins=[maker])
        return
    done = {key(row) for row in read(options.output) if row["noticed"] or row["mode"] == mode}
    folders = [folder for folder in CODE[mode] if Path(folder).name in options.folders]
    drawn = zip(*(draw(options.count, options.seed, folder) for folder in folders), strict=False)
    mistakes = [
        (path, number, kind)
        for path, number, kind in chain.from_iterable(drawn)
        if (str(path.relative_to(ROOT)), number, kind) not in done
    ]
    output = options.output.resolve()

    def record(path: Path, number: int, made: Mutant, **found: Any) -> None:
        row = {
            "mode": mode,
            "file": str(path.relative_to(ROOT)), "line": made.line, "number": number,
            "kind": made.kind, "before": made.before, "after": made.after, **found,
        }  # fmt: skip
        with output.open("a") as file:
            file.write(json.dumps(row) + "\n")

    with tempfile.TemporaryDirectory() as examples:  # Hypothesis must not learn from mistakes
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = examples
        os.environ["TINYGRAD_MNIST_CUDA_CACHE"] = str(Path(examples) / "cuda")
        trials = Trials(mistakes, CoverageMap(where), record, Path(examples), options.seconds)
        pytest.main([*OPTIONS, *tests], plugins=[trials])


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["file"], row["number"], row["kind"]


def read(output: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in output.read_text().splitlines()] if output.exists() else []


def main() -> None:
    """Tries the mistakes, and prints a line for each that isn't noticed, and a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folders = list(dict.fromkeys(Path(x).name for mode in CODE for x in CODE[mode]))
    parser.add_argument("--count", type=int, default=60, help="of each folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folders", nargs="+", choices=folders, default=folders)
    parser.add_argument("--seconds", type=float, default=20, help="of tests, for each mistake")
    parser.add_argument("--output", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--map", type=Path, default=ROOT / "build" / "mutation")
    parser.add_argument("--mode", choices=tuple(CODE), help=argparse.SUPPRESS)
    parser.add_argument("--make-map", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode:
        work(options.mode, options)
        return
    command = [sys.executable, *sys.argv]
    for mode, code in CODE.items():
        if not any(Path(folder).name in options.folders for folder in code):
            continue
        environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": str(int(mode == "sim"))}
        if mode != "cpu":
            environment["TINYGRAD_MNIST_GPU_TESTS"] = mode
        if not (options.map / mode / "seconds.json").exists():
            subprocess.run([*command, "--mode", mode, "--make-map"], env=environment)
        subprocess.run([*command, "--mode", mode], env=environment)
    # Of two rows for a mistake the second counts: it was tried again.
    rows = list({key(row): row for row in read(options.output)}.values())
    for row in rows:
        if not row["noticed"]:
            print(f"{row['file']}:{row['line']}: {row['before']}  ->  {row['after']}")
    print(table(rows))


if __name__ == "__main__":
    main()
