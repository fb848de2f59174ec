"""Runs kernel tests, the book's nets and mutated plans on native code that a sanitizer checks.

    python tests/sanitizers.py address undefined thread

For each sanitizer it builds the package into a virtual environment of its own (in `--folder`, a new
one unless named), and runs there what `CHECKS` lists; the sanitizer ends a process at its first
finding. It needs g++ with its sanitizers' libraries, and 15 to 30 minutes per sanitizer
on two cores. docs/reliability.md has the last figures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Sanitizer:
    """library: what has to be loaded before Python, which isn't built with it. options: the value
    of its environment variable; Python frees little at its end, so leaks aren't looked for."""

    library: str
    variable: str
    options: str


SANITIZERS = {
    "address": Sanitizer(
        "libasan.so", "ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1"
    ),
    "undefined": Sanitizer("libubsan.so", "UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1"),
    "thread": Sanitizer("libtsan.so", "TSAN_OPTIONS", "halt_on_error=1"),
}
PYTEST = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
CHECKS = {
    "kernels": [*PYTEST, "tests/kernels"],
    "nets": [
        *PYTEST, "tests/test_book_nets.py", "tests/test_threads.py",
        "tests/backends/test_hostile_plans.py",
    ],
    "plans": ["tests/fuzz/plans.py", "--count", "20000"],
    # The short form of `kernels`: each, in shapes of nothing, of one and odd ones.
    "bounds": [*PYTEST, "tests/kernels/test_bounds.py"],
}  # fmt: skip


def build(name: str, folder: Path) -> Path:
    """The Python of an environment with the package built for this sanitizer, and its tests'
    requirements."""
    place = folder / name
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    tools = project["build-system"]["requires"]
    tests = project["project"]["optional-dependencies"]["test"]
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, *tools, "cmake", "ninja", *tests], check=True)
    sanitize = f"cmake.define.TINYGRAD_SANITIZE={name}"
    here = ["--no-build-isolation", "-C", sanitize, "-C", f"build-dir={place / 'build'}", "."]
    subprocess.run([*install, *here], check=True, cwd=ROOT, env={**os.environ, "CXX": "g++"})
    return python


def library(name: str) -> str:
    """Where g++ has a library."""
    asked = f"-print-file-name={name}"
    found = subprocess.run(["g++", asked], check=True, capture_output=True, text=True)
    path = found.stdout.strip()
    if not Path(path).is_absolute():
        raise SystemExit(f"g++ has no {name}; on Debian it comes with the compiler")
    return path


def check(name: str, python: Path, checks: list[str]) -> bool:
    """Runs the checks, and says whether all passed."""
    sanitizer, report = SANITIZERS[name], python.parents[1] / "report"
    settings = {
        # C++'s library too: the sanitizer looks for its functions when it is loaded, before Python
        # loads a module that needs it.
        "LD_PRELOAD": f"{library(sanitizer.library)} {library('libstdc++.so.6')}",
        sanitizer.variable: f"{sanitizer.options}:log_path={report}",
        "PYTHONSAFEPATH": "1",  # the installed package has the checked code, not the clone
        "PYTHONMALLOC": "malloc",
        # NumPy's BLAS isn't built with a sanitizer, which takes its threads' locks for none.
        "OPENBLAS_NUM_THREADS": "1",
        "TINYGRAD_MNIST_TESTS_NO_LIMIT": "1",
    }
    passed = True
    for what in checks:
        print(f"== {name}: {what}", flush=True)
        done = subprocess.run([python, *CHECKS[what]], cwd=ROOT, env={**os.environ, **settings})
        print(f"== {name}: {what}: exit status {done.returncode}", flush=True)
        for file in report.parent.glob("report.*"):  # pytest has taken standard error
            print(file.read_text()[:4000])
            file.unlink()
        passed &= done.returncode == 0
    return passed


def main() -> int:
    """The exit code is 1 where a sanitizer found something, or a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(SANITIZERS), metavar="SANITIZER")
    parser.add_argument("--folder", type=Path, help="for the environments; kept")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(CHECKS), default=["kernels", "nets", "plans"]
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        results = {name: check(name, build(name, folder), options.only) for name in options.names}
    print(", ".join(f"{name} {'clean' if ok else 'NOT CLEAN'}" for name, ok in results.items()))
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
