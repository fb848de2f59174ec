"""Runs tests with a mistake in a module, in a process for each mistake.

All tests are collected once. For a mistake the process forks, and the child exchanges the code of
the functions that have it. Where that comes too late, because the line has run when modules were
imported, a new process imports the module with the mistake.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType

import pytest
from coverage_map import ROOT, CoverageMap
from mutants import Mutant, mutant

MOST_MEMORY = 10 << 30  # bytes; the simulator's thousand threads reserve 8 << 30
OPTIONS = [
    "-q", "-n", "0", "-p", "no:cacheprovider", "-o", "timeout=0", "-m", "not slow",
    "--hypothesis-seed=0", f"--rootdir={ROOT}", f"-c{ROOT / 'pyproject.toml'}",
]  # fmt: skip


TOO_LATE, NO_FUNCTION = 77, "no function has it"  # an exit status, and what it means


def limit_of(seconds: float) -> int:
    """After how many seconds a test without an end is stopped, given what it takes otherwise."""
    return int(30 + 20 * seconds)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def exchange(functions: list[FunctionType], path: Path, made: Mutant) -> bool:
    """Puts the mistake into these functions; False where it is in none of them."""
    old = list(_codes(compile(path.read_text(), path, "exec")))
    new = list(_codes(compile(made.tree, path, "exec")))
    if [code.co_qualname for code in old] != [code.co_qualname for code in new]:
        return False
    changed = {a: b for a, b in zip(old, new, strict=True) if a != b}
    pairs = [(f, changed[f.__code__]) for f in functions if f.__code__ in changed]
    if any(f.__code__.co_freevars != code.co_freevars for f, code in pairs):
        return False
    for f, code in pairs:
        f.__code__ = code
    return bool(pairs)


class Tests:
    """A plugin of pytest that runs some of the tests in a given order, and ends the process with
    the first that fails: `report` gets the names of those that begin, and at last a word.
    """

    def __init__(self, report: int, seconds: dict[str, float]) -> None:
        self._report = report
        self._seconds = seconds

    def _write(self, line: str) -> None:
        os.write(self._report, f"{line}\n".encode())

    def run(self, items: list[pytest.Item]) -> None:
        """Never returns."""
        items[0].config.get_terminal_writer()._file = open(os.devnull, "w")  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for item, following in itertools.pairwise([*items, None]):
            assert item is not None
            self._write(item.nodeid)
            signal.alarm(limit_of(self._seconds[item.nodeid]))
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        self._write("passed")
        os._exit(0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._write("failed")
            os._exit(1)


def outcome(report: int, exit_code: Callable[[], int]) -> str | None:
    """The test that failed, and how; None: all passed. `exit_code` waits for the process."""
    text = b""
    while part := os.read(report, 65536):
        text += part
    os.close(report)
    code = exit_code()
    *names, word = text.decode().splitlines() or ["import"]
    if word == "passed":
        return None
    if word == "failed":
        return names[-1]
    if code == TOO_LATE:
        return NO_FUNCTION
    return f"{word} ({'no end' if code == -signal.SIGALRM else f'exit status {code}'})"


class Trials:
    """A plugin of pytest that, instead of running all tests, tries mistakes one by one."""

    def __init__(
        self,
        mistakes: Iterable[tuple[Path, int, str]],
        tests: CoverageMap,
        done: Callable[..., None],
        examples: Path,
        most_seconds: float,
    ) -> None:
        self._mistakes = mistakes
        self._map = tests
        self._done = done
        self._most_seconds = most_seconds
        self._examples = examples  # where Hypothesis keeps those that failed
        self._sound: dict[str, bool] = {}  # tests: whether each passes alone without a mistake

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        gc.collect()
        self._functions = [f for f in gc.get_objects() if isinstance(f, FunctionType)]
        self._functions = [
            f for f in self._functions if f.__code__.co_filename.startswith(str(ROOT))
        ]
        gc.freeze()
        for path, number, kind in self._mistakes:
            shutil.rmtree(self._examples, ignore_errors=True)
            made = mutant(path.read_text(), number, kind)
            began = time.monotonic()
            names = self._map.tests(path, made.line, self._most_seconds)
            names = [name for name in names if name in self._items]
            noticed = self._first_failure(path, number, made, names)
            seconds = round(time.monotonic() - began, 1)
            self._done(path, number, made, tests=len(names), noticed=noticed, seconds=seconds)
        return True

    def _first_failure(self, path: Path, number: int, made: Mutant, names: list[str]) -> str | None:
        is_late = self._map.at_import(path, made.line)
        while names:
            found = NO_FUNCTION if is_late else self._forked(names, path, made)
            if found == NO_FUNCTION:
                is_late = True
                found = self._fresh(names, path, number, made)
            name = None if found is None else found.split(" (")[0]
            if name not in self._items or self._passes_alone(name):
                return found
            names = names[names.index(name) + 1 :]
        return None

    def _passes_alone(self, name: str) -> bool:
        if name not in self._sound:
            self._sound[name] = self._forked([name]) is None
            if not self._sound[name]:
                print(f"fails without a mistake, so it is left out: {name}", file=sys.stderr)
        return self._sound[name]

    def _forked(
        self, names: list[str], path: Path | None = None, made: Mutant | None = None
    ) -> str | None:
        report, write = os.pipe()
        process = os.fork()
        if process == 0:
            if path is not None and made is not None and not exchange(self._functions, path, made):
                os._exit(TOO_LATE)
            tests = Tests(write, self._map.seconds)
            items = [self._items[name] for name in names]
            items[0].config.pluginmanager.register(tests)
            tests.run(items)
        os.close(write)
        return outcome(report, lambda: os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))

    def _fresh(self, names: list[str], path: Path, number: int, made: Mutant) -> str | None:
        report, write = os.pipe()
        job = {
            "path": str(path), "number": number, "kind": made.kind, "report": write,
            "seconds": {name: self._map.seconds[name] for name in names},
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=ROOT, pass_fds=[write],
        )  # fmt: skip
        os.close(write)
        assert process.stdin is not None
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        return outcome(report, process.wait)


class _Chosen(Tests):
    """As `Tests`, where they are to be collected first."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self.run([items[name] for name in self._seconds])
        return True


def _run_job() -> None:
    job = json.load(sys.stdin)
    path = Path(job["path"])
    code = compile(mutant(path.read_text(), job["number"], job["kind"]).tree, path, "exec")
    get_code = SourceFileLoader.get_code

    def with_mistake(self: SourceFileLoader, name: str) -> CodeType | None:
        return code if Path(self.path) == path else get_code(self, name)

    SourceFileLoader.get_code = with_mistake  # type: ignore[method-assign]
    signal.alarm(limit_of(30))  # a mistake may keep the import from ending
    files = dict.fromkeys(name.split("::")[0] for name in job["seconds"])
    pytest.main([*OPTIONS, *files], plugins=[_Chosen(job["report"], job["seconds"])])
    os._exit(1)  # the module can't be imported, or its tests aren't found


if __name__ == "__main__":
    _run_job()
