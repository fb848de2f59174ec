"""Which tests run which lines, and how long each test takes."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).parents[2]
AT_IMPORT = ""  # what runs before the first test: imports, and the collection of tests
FEW = 3  # tests


class MapMaker:
    """A plugin of pytest that writes the map. Tests that fail or are skipped are left out of it."""

    def __init__(self, folder: Path, modules: list[str]) -> None:
        self._times_file = folder / "seconds.json"
        self._coverage = coverage.Coverage(
            data_file=folder / "lines", include=modules, config_file=False
        )
        self._coverage.erase()
        self._coverage.start()
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        began = time.perf_counter()
        result = yield
        self._seconds[item.nodeid] = round(time.perf_counter() - began, 4)
        return result  # type: ignore[return-value]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        self._coverage.save()
        kept = {name: s for name, s in self._seconds.items() if name not in self._failed}
        self._times_file.write_text(json.dumps(kept))


class CoverageMap:
    """The map, read."""

    def __init__(self, folder: Path) -> None:
        self.seconds: dict[str, float] = json.loads((folder / "seconds.json").read_text())
        self._data = coverage.CoverageData(str(folder / "lines"))
        self._data.read()

    @cache  # noqa: B019
    def _lines(self, path: Path) -> dict[int, list[str]]:
        return self._data.contexts_by_lineno(str(path))

    def at_import(self, path: Path, line: int) -> bool:
        return AT_IMPORT in self._lines(path).get(line, [])

    def tests(self, path: Path, line: int, most_seconds: float) -> list[str]:
        """The tests that run a line, those first that are the likeliest to notice a mistake there:
        the module's own, then of each other file as many seconds as of any other, short ones first.

        Few tests run a line that runs at import alone, or whose result is kept, or that is not the
        first of its statement. After these come the tests that run any line of the module.
        """
        running = set(self._lines(path).get(line, [])) & self.seconds.keys()
        names = set(running)
        if len(running) < FEW:
            names |= {x for tests in self._lines(path).values() for x in tests}
            names &= self.seconds.keys()
        own = f"test_{path.stem.strip('_')}.py"
        ranked, spent = [], defaultdict[str, float](float)
        for name in sorted(names, key=lambda name: (self.seconds[name], name)):
            file = name.split("::")[0]
            spent[file] += self.seconds[name]
            ranked.append((name not in running, not file.endswith(own), spent[file], name))
        chosen, total = [], 0.0
        for *_, name in sorted(ranked):
            total += self.seconds[name]
            if chosen and total > most_seconds:
                break
            chosen.append(name)
        return chosen
