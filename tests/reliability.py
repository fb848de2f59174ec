"""Tries every promise of docs/reliability.md again: its tests, the fuzzers, sanitizers and a wheel.

    python tests/reliability.py                    # within an hour on two cores
    python tests/reliability.py --quick            # without sanitizers and wheel: minutes
    python tests/reliability.py --write            # writes the table into docs/reliability.md

It prints a row per promise: its tests, what they found, and the seconds they took. The exit code is
1 where one failed; its output is printed then. The requirements are those of the tests, and a
compiler with its sanitizers' libraries.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- table of tests/reliability.py -->\n", "<!-- end of the table -->\n"
HEAD = "| promise | tests | last figure | seconds |\n| --- | --- | --- | --- |\n"
FUZZED = 100_000  # plans, and about as many files
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2")


@dataclass(frozen=True)
class Promise:
    """What is promised, and its tests: files and folders of pytest, relative to `tests`, and
    scripts with their options. slow: whether `--quick` leaves it out."""

    words: str
    tests: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    slow: bool = False


PROMISES = [
    Promise(
        "A malformed native plan is refused, or stays within its buffers",
        ("backends/test_hostile_plans.py",),
        (f"fuzz/plans.py --count {FUZZED}",),
    ),
    Promise(
        "A data file takes no more memory than its limits allow; every error names it and what it"
        " is; no control character reaches a terminal; pipes and devices are refused, not opened",
        ("datasets/test_limits.py", "datasets/test_foreign.py", "saving/test_hostile_files.py"),
    ),
    Promise(
        "Every reader reads a damaged file or refuses it: with an error that names it, in two"
        " seconds, in little memory",
        ("datasets/test_mutated_files.py",),
        (f"fuzz/files.py --count {FUZZED // 11 + 1}",),
    ),
    Promise(
        "A file that `tf.io` or `FixedLengthRecordDataset` reads is unpacked within its limit; cut"
        " data, pipes and devices are refused",
        ("tf/test_io.py",),
    ),
    Promise("No code in a pickle runs", ("datasets/test_pickles.py",)),
    Promise("A saved net or checkpoint is read, or refused with its name", ("saving",)),
    Promise(
        "A file is written whole, or nothing is left and the error names it: a full disk, a"
        " read-only folder or file, another user's file",
        ("test_files.py", "test_places.py"),
    ),
    Promise(
        "The command ends with one line and the right status: closed or full streams, no memory, an"
        " interrupt, an empty name, a place that can't be written",
        ("cli/test_streams.py",),
    ),
    Promise(
        "Every kernel is as exact as its bound says, on every instruction set",
        ("kernels/test_bounds.py", "kernels/tape/test_math.py"),
    ),
    Promise("The same bits with 1, 2, 4 and 8 threads, dropout's masks too", ("test_threads.py",)),
    Promise(
        "Updates of a part from another read old values; integers are exact to the ends of their"
        " ranges; powers, draws and variances at their edges",
        (
            *("compile/test_ranges_of_updates.py", "ops/test_integer_extremes.py"),
            *("ops/test_powers.py", "tensor/test_random_extremes.py", "ops/test_reduce.py"),
        ),
    ),
    Promise(
        "A plan's memory is known before it runs; too large a one is a MemoryError with its size"
        " and line, and nothing is touched",
        ("functions/test_memory.py",),
    ),
    Promise(
        "Native code touches only what is its own",
        scripts=("sanitizers.py address --only bounds nets plans",),
        slow=True,
    ),
    Promise(
        "Native code has no undefined arithmetic",
        scripts=("sanitizers.py undefined --only bounds nets plans",),
        slow=True,
    ),
    Promise("Threads don't race", scripts=("sanitizers.py thread --only nets",), slow=True),
    Promise(
        "A wheel works without a compiler: it trains, saves and reads again",
        scripts=("try_wheel.py",),
        slow=True,
    ),
]


def wheel_python(folder: Path) -> Path:
    """The Python of an environment with nothing but a wheel that is built here."""
    pip = [sys.executable, "-m", "pip"]
    quiet = ["-q", "--disable-pip-version-check"]
    build = [*pip, "wheel", *quiet, "--no-deps", "-w", str(folder / "wheels"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    [wheel] = (folder / "wheels").glob("*.whl")
    install = [python, "-m", "pip", "install", *quiet, wheel]
    subprocess.run(install, check=True, capture_output=True)
    return python


def commands(promise: Promise) -> Iterator[tuple[list[str | Path], dict[str, str]]]:
    """The commands that try a promise, and their environments: the package is the installed one,
    not the clone's."""
    installed = {**os.environ, "PYTHONSAFEPATH": "1"}
    if promise.tests:
        yield [sys.executable, *PYTEST, *(f"tests/{t}" for t in promise.tests)], installed
    for script in promise.scripts:
        name, *options = script.split()
        if name != "try_wheel.py":
            yield [sys.executable, f"tests/{name}", *options], installed
            continue
        with tempfile.TemporaryDirectory() as folder:
            python = wheel_python(Path(folder))
            # In the wheel's folder alone no program is found, so no compiler.
            alone = {"PATH": str(python.parent), "PYTHONSAFEPATH": "1"}
            yield [python, ROOT / "tests" / name], alone


def figure(output: str) -> str:
    """What a command has found: how many tests passed or not, and the last line of a script."""
    counts = dict.fromkeys(("failed", "error", "passed", "skipped"), 0)
    for number, what in re.findall(r"(\d+) (failed|error|passed|skipped)", output):
        counts[what] += int(number)
    found = [f"{n:,} {what}" for what, n in counts.items() if n]
    last = output.strip().splitlines()[-1] if output.strip() else "no output"
    return ", ".join(found if re.search(r" in [\d.]+s", last) else [*found, last])


def tried(promise: Promise) -> tuple[str, bool]:
    """The row of a promise, and whether it is kept."""
    start, figures, kept = time.perf_counter(), [], True
    try:
        for command, environment in commands(promise):
            done = subprocess.run(
                command, cwd=ROOT, env=environment, text=True, errors="replace",
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
            figures.append(figure(done.stdout))
            if done.returncode:
                kept = False
                print(done.stdout[-20_000:], flush=True)
    except subprocess.CalledProcessError as error:
        kept = False
        figures.append("the wheel could not be built or installed")
        output = (error.stdout or b"") + (error.stderr or b"")
        print(output.decode(errors="replace")[-20_000:], flush=True)
    names = [f"`tests/{t}`" for t in (*promise.tests, *promise.scripts)]
    seconds = round(time.perf_counter() - start)
    cells = [promise.words, ", ".join(names), ("" if kept else "FAILED: ") + "; ".join(figures)]
    return f"| {' | '.join(cells)} | {seconds:,} |\n", kept


def machine() -> str:
    """The date, the processor, the system and Python."""
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    )
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    today = datetime.datetime.now(datetime.UTC).date()
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{today}, {os.cpu_count()} cores of {processor}, {system}"


def main() -> int:
    """The exit code is 1 where a promise isn't kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without sanitizers and wheel")
    parser.add_argument("--write", action="store_true", help=f"the table into {DOCUMENT.name}")
    options = parser.parse_args()
    if options.quick and options.write:
        parser.error("--write is of a whole run")
    start, rows, all_kept = time.perf_counter(), [], True
    print(HEAD, end="", flush=True)
    for promise in PROMISES:
        if not (options.quick and promise.slow):
            row, kept = tried(promise)
            print(row, end="", flush=True)
            rows.append(row)
            all_kept &= kept
    minutes = (time.perf_counter() - start) / 60
    caption = f"{machine()}; {minutes:.0f} minutes in all."
    print(f"\n{caption}")
    if options.write:
        text = DOCUMENT.read_text()
        before, _, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        table = f"{HEAD}{''.join(rows)}\n{caption}\n"
        DOCUMENT.write_text(f"{before}{BEGIN}{table}{end}{after}")
    return 0 if all_kept else 1


if __name__ == "__main__":
    sys.exit(main())
