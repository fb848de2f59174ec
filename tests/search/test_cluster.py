"""Searches and the book's runs on a real cluster of dask: a scheduler and two worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import objectives
from helpers.small_mnist import small_arrays, write_idx_folder

from tinygrad_mnist import cli
from tinygrad_mnist.book import Plan, rows_of, run_all
from tinygrad_mnist.search import search

distributed = pytest.importorskip("distributed")
TESTS = Path(__file__).parents[1]


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("cluster")
    place = folder / "scheduler.json"
    common = ["--no-dashboard", "--scheduler-file", str(place)]
    started = [_start("scheduler", *common, "--host", "127.0.0.1", "--port", "0")]
    options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
    started += [_start("worker", *common, *options) for _ in range(2)]
    try:
        end = time.monotonic() + 120
        while not place.exists() and time.monotonic() < end:
            time.sleep(0.05)
        with distributed.Client(scheduler_file=str(place), timeout=120) as found:
            found.wait_for_workers(2, timeout=120)
            yield found
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_search(client: Any) -> None:
    results = search(objectives.product, {"x": [1, 2, 3], "k": [1, -1]}, client.get_executor())
    assert [run.values["score"] for run in results] == [3, 2, 1, -1, -2, -3]
    run = search(objectives.threads, {"x": 1}, client.get_executor(), metric="threads").best
    assert run.values["threads"] == 1  # as the worker was started


def test_the_books_runs(client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_idx_folder(tmp_path / "small", small_arrays(training=120, test=40))
    data = str(tmp_path / "small")
    plan = Plan(("shallow",), 2, 1, str(tmp_path / "runs"), data)
    (row,) = rows_of(run_all(plan, client.get_executor()))
    assert len(row.tests) == 2
    command = ["book", "--only", "shallow", "--runs", "2", "--epochs", "1", "--data", data]
    command += ["--folder", plan.folder, "--cluster", client.scheduler.address]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    assert f"| {row.test:.2f} | {row.tests[0]:.2f} {row.tests[1]:.2f} |" in out
    assert "all 2 runs have been done" in err
    command[4] = "3"
    assert cli.main(command) == 0
    assert "1 more run, on the cluster" in capsys.readouterr().err


def test_a_killed_worker_loses_only_its_run(client: Any, tmp_path: Path) -> None:
    """The last test of the file: one worker is left."""
    space = {"x": [1, 2, 3, 4], "folder": str(tmp_path)}
    results = search(objectives.killed_once, space, client.get_executor())
    assert not results.failed
    assert sorted(run.settings["x"] for run in results) == [1, 2, 3, 4]
    counts = {x: len((tmp_path / f"runs{x}").read_text()) for x in (1, 2, 3, 4)}
    assert counts == {1: 1, 2: 2, 3: 1, 4: 1}
