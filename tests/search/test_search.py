from __future__ import annotations

import functools
import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import objectives

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.search import (
    Processes,
    SearchError,
    done_before,
    finished,
    integers,
    log_uniform,
    search,
    uniform,
)
from tinygrad_mnist.search.processes import WorkerError

HERE = ThreadPoolExecutor  # an executor in this process: quick


def here(objective: Any, space: Any, **options: Any) -> Any:
    with HERE(2) as executor:
        return search(objective, space, executor, **options)


@pytest.fixture(scope="module")
def processes() -> Any:
    with Processes(2) as executor:
        yield executor


def test_a_grid_in_processes_is_sorted(processes: Processes) -> None:
    results = search(objectives.product, {"x": [1, 3, 2], "k": [1, -1]}, processes)
    assert [(r.settings["x"], r.settings["k"]) for r in results[:2]] == [(3, 1), (2, 1)]
    assert [r.values["score"] for r in results] == [3, 2, 1, -1, -2, -3]
    assert results.best.settings == {"x": 3, "k": 1}
    smallest = search(objectives.product, {"x": [1, 3]}, processes, mode="min")
    assert smallest.best.values == {"score": 1}


SPACE = {"x": uniform(0, 1), "k": integers(1, 9)}


def test_any_executor_gives_the_same_bits(processes: Processes) -> None:
    def values(executor: Executor | None, jobs: int | None) -> Any:
        results = search(objectives.draws, SPACE, executor, jobs, runs=6, seed=5)
        return [(r.settings, r.values) for r in results]

    with HERE(1) as one, HERE(3) as three:
        expected = values(one, None)
        assert values(three, None) == expected
    assert values(processes, None) == expected
    assert values(None, 1) == expected
    others = here(objectives.draws, SPACE, runs=6, seed=6)
    assert [r.settings for r in others] != [settings for settings, _ in expected]


def test_training_gives_the_same_bits(processes: Processes) -> None:
    space = {"units": [3, 7], "rate": log_uniform(1e-3, 1)}
    options: dict[str, Any] = {"runs": 4, "threads": 1}
    with HERE(1) as executor:
        expected = [r.values for r in search(objectives.trained, space, executor, **options)]
    results = search(objectives.trained, space, processes, runs=4, threads=2)
    assert [r.values for r in results] == expected


def test_a_model_of_keras_gives_the_same_bits(processes: Processes) -> None:
    space = {"units": [3, 7], "rate": log_uniform(1e-3, 0.1), "batch_size": [8, 16]}
    expected = here(objectives.fitted, space, runs=4)
    assert expected.metric == "val_accuracy"
    names = {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert all(set(run.values) == names for run in expected)
    results = search(objectives.fitted, space, processes, runs=4, threads=1)
    assert [(r.settings, r.values) for r in results] == [(r.settings, r.values) for r in expected]


def test_dask() -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        results = search(objectives.draws, SPACE, client.get_executor(), runs=4, seed=5)
        assert not results.failed
    expected = here(objectives.draws, SPACE, runs=4, seed=5)
    assert [r.values for r in results] == [r.values for r in expected]


def test_the_callers_generators_and_settings_are_left_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.rand(2)  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    first = np.random.rand()  # noqa: NPY002
    threads = config.threads
    here(objectives.draws, SPACE, runs=3, threads=1)
    assert [first, np.random.rand()] == list(expected)  # noqa: NPY002
    assert config.threads == threads


def test_a_worker_has_the_callers_settings_and_its_share_of_threads(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "floatX", "float64")
    n = len(os.sched_getaffinity(0))
    for jobs, threads in ((1, n), (n, 1), (8 * n, 1)):
        run = search(objectives.threads, {"x": 1}, processes, jobs, metric="threads").best
        assert run.values == {"threads": threads, "float64": 1}
    run = search(objectives.threads, {"x": 1}, processes, 1, threads=3, metric="threads").best
    assert run.values["threads"] == 3


def test_a_failed_run_has_its_error_and_the_others_go_on(processes: Processes) -> None:
    results = search(objectives.fails_at_two, {"x": [1, 2, 3]}, processes)
    assert [r.settings["x"] for r in results] == [3, 1, 2]
    (failed,) = results.failed
    assert failed.error is not None
    assert failed.error.startswith("ValueError: two | is too much (objectives.py:")
    assert "raise ValueError" in str(failed.trace)
    assert math.isnan(results.score(failed))
    exited = search(objectives.exits, {"x": 7}, processes)
    assert exited[0].error is not None
    assert exited[0].error.startswith("SystemExit: 7 (")
    with pytest.raises(ArgumentError, match="none of 1 runs has a score; the first error: System"):
        _ = exited.best


def test_a_killed_worker_loses_its_own_run_which_is_tried_again(tmp_path: Path) -> None:
    space = {"x": integers(1, 5), "folder": str(tmp_path)}
    results = search(objectives.killed_once, space, jobs=2, file=tmp_path / "file")
    assert not results.failed
    assert [r.values["score"] for r in results] == [5, 4, 3, 2, 1]
    counts = {p.name: len(p.read_text()) for p in tmp_path.glob("runs*")}
    assert counts == {"runs1": 1, "runs2": 2, "runs3": 1, "runs4": 1, "runs5": 1}
    assert len((tmp_path / "file").read_text().splitlines()) == 6


def test_a_run_that_always_kills_its_worker_is_given_up() -> None:
    results = search(objectives.killed_always, {"x": [1, 2, 3]}, jobs=1)
    (failed,) = results.failed
    assert failed.settings == {"x": 2}
    assert failed.error == "the run was lost: the worker process was ended by SIGKILL"
    assert len(results) == 3


def test_a_broken_executor_is_an_error_that_keeps_what_is_done(tmp_path: Path) -> None:
    with (
        ProcessPoolExecutor(1) as executor,
        pytest.raises(SearchError, match="the executor takes no more runs") as caught,
    ):
        search(objectives.killed_always, {"x": [1, 2, 3]}, executor, file=tmp_path / "f")
    results = done_before(caught.value)
    assert results is not None
    assert [r.settings["x"] for r in results] == [1]
    assert done_before(ValueError()) is None


def test_a_file_has_each_run_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs.jsonl"
    calls = []

    def fails_at_two(x: int) -> float:
        calls.append(x)
        return objectives.fails_at_two(x) + np.random.rand()  # noqa: NPY002

    first = here(fails_at_two, {"x": [1, 2]}, file=path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 3
    assert {line["settings"]["x"]: line["values"] for line in lines[1:]}[1] == first[0].values
    calls.clear()
    second = here(fails_at_two, {"x": [1, 2, 3]}, file=path)
    assert sorted(calls) == [2, 3]  # what failed is tried again
    assert [r.settings["x"] for r in second] == [3, 1, 2]
    assert second[1].values == first[0].values
    calls.clear()
    assert len(here(fails_at_two, {"x": [1]}, file=path)) == 1
    assert calls == []
    here(fails_at_two, {"x": [1]}, file=path, seed=1)
    assert calls == [1]


def test_a_list_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    points = [{"x": 5, "k": 1}, {"x": 7, "k": 2}]
    search(objectives.product, points[1:], HERE(1), file=file)
    assert [run.settings for run in finished(objectives.product, points, file)] == points[1:]
    assert not finished(objectives.product, points, tmp_path / "none.jsonl")
    both = search(objectives.product, points, HERE(1), file=file)
    assert [run.settings for run in both] == [points[1], points[0]]
    assert len(file.read_text().splitlines()) == 3
    with pytest.raises(ArgumentError, match="`runs` has no meaning"):
        search(objectives.product, points, HERE(1), runs=2)


def test_a_line_that_was_cut_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    here(objectives.product, {"x": [1, 2]}, file=path)
    whole = path.read_bytes()
    for size in range(len(whole) - 20, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.warns(UserWarning, match="last line is not complete"):
            results = here(objectives.product, {"x": [1, 2]}, file=path)
        assert len(results) == 2
        assert len(path.read_bytes().splitlines()) == 3


def test_objectives_that_are_no_plain_functions(tmp_path: Path, processes: Processes) -> None:
    path = tmp_path / "runs.jsonl"
    doubled = functools.partial(objectives.product, k=2)
    assert search(doubled, {"x": [1, 2]}, processes, file=path).best.values == {"score": 4}
    here(objectives.product, {"x": [3]}, file=path)  # it is the same function
    counter = objectives.Counter()
    assert here(counter, {"x": [1, 5]}, file=tmp_path / "counter").best.values == {"score": 5}


def test_an_objective_may_change_its_arguments() -> None:
    def objective(blocks: list[int]) -> int:
        blocks.append(len(blocks))
        return blocks[0]

    space = {"blocks": [[3], [4]]}
    assert [r.settings["blocks"] for r in here(objective, space)] == [[4], [3]]
    assert space == {"blocks": [[3], [4]]}


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    here(objectives.product, {"x": [1, 2]}, file=path)
    with pytest.raises(ArgumentError, match=r"it has runs of helpers.objectives.product, not of"):
        here(objectives.fails_at_two, {"x": [1]}, file=path)
    for text in ("no JSON\n", '{"a": 1}\n', "[]\n", "x"):
        path.write_text(text)
        with pytest.raises(ArgumentError, match="it is no file of a search"):
            here(objectives.product, {"x": [1]}, file=path)
        assert path.read_text() == text


@pytest.mark.parametrize(
    ("objective", "metric", "score"),
    [
        (objectives.history, "val_loss", 2),
        (lambda x: {"b": x, "a": 3}, "b", 1),
        (lambda x: {"b": x, "loss": 0, "accuracy": 3}, "accuracy", 3),
        (lambda x: np.float32(x), "score", 1),
        (lambda x: np.array([x]), "score", 1),
    ],
)
def test_the_metric(objective: Any, metric: str, score: float) -> None:
    results = here(objective, {"x": [1, 2]})
    assert results.metric == metric
    assert results.score(min(results, key=lambda r: r.number)) == score
    assert results.is_minimised == (metric == "val_loss")
    assert here(objective, {"x": [1, 2]}, metric=metric, mode="max").is_minimised is False


@pytest.mark.parametrize("what", ["none", "text", "flag", "empty", "part", "list"])
def test_what_is_no_number_is_the_error_of_its_run(what: str) -> None:
    (run,) = here(objectives.returns, {"what": what})
    assert run.error is not None
    assert run.error.startswith("TypeError: the objective returned ")


def test_a_score_that_is_nan_is_last() -> None:
    results = here(lambda x: math.nan if x == 1 else x, {"x": [1, 2, 3]})
    assert [r.settings["x"] for r in results] == [3, 2, 1]
    assert not results.failed


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((objectives.product, {}), ArgumentError, "space is empty"),
        ((objectives.product, {"y": [1]}), ArgumentError, "no parameter for the setting 'y'; it"),
        ((objectives.product, {"k": [1]}), ArgumentError, "no setting for .*parameter 'x'; it has"),
        ((3, {"x": [1]}), GraphTypeError, "objective is 3; it must be a function"),
        ((lambda x: x, {"x": [1]}), SearchError, "is a lambda, so worker processes can't import"),
    ],
)
def test_errors(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        search(*arguments)


def test_a_function_within_a_function_is_explained(processes: Processes) -> None:
    def inner(x: int) -> int:
        return x

    with pytest.raises(SearchError, match="is defined inside a function, so worker processes"):
        search(inner, {"x": [1]})
    with pytest.raises(SearchError, match="the executor can't send the objective to a worker"):
        search(inner, {"x": [1]}, processes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": 0}, "runs is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "must be below"),
        ({"jobs": 0}, "jobs is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"retries": -1}, "retries is -1"),
        ({"mode": "most"}, "mode is 'most'; it can be"),
        ({"metric": "acc"}, "metric is 'acc'; the objective returned score"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        here(objectives.product, {"x": [1]}, **options)


class Refusing(Executor):
    """Its futures have errors as executors make them that know no `BrokenExecutor`."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(RuntimeError("KilledWorker"))
        return future


def test_an_executor_that_loses_all_runs() -> None:
    results = search(objectives.product, {"x": [1, 2]}, Refusing(), retries=3)
    assert [r.error for r in results] == 2 * ["the run was lost: KilledWorker"]


PROGRAM = """
import sys
sys.path[:0] = {path!r}
from helpers.objectives import slow_after_three
from tinygrad_mnist.search import done_before, search

def local(x):
    return -x

{body}
"""


def program(tmp_path: Path, body: str) -> list[str]:
    tests = str(Path(objectives.__file__).parents[1])
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(path=[tests], body=body))
    return [sys.executable, str(path)]


GUARD = 'if __name__ == "__main__":\n    '


def test_a_programs_own_function(tmp_path: Path) -> None:
    body = f"{GUARD}print(search(local, dict(x=[1, 2]), jobs=1))"
    out = subprocess.run(program(tmp_path, body), capture_output=True, text=True, check=True).stdout
    assert [line.split()[:3] for line in out.splitlines()[2:]] == [
        ["1", "1", "-1"],
        ["2", "2", "-2"],
    ]


def test_a_function_that_only_the_caller_has(tmp_path: Path) -> None:
    body = f"{GUARD}exec('def f(x): return x')\n    search(f, dict(x=[1, 2]), jobs=1)"
    done = subprocess.run(program(tmp_path, body), capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert "SearchError: the executor can't send the objective to a worker" in last
    assert "Can't get attribute 'f'" in last


def test_processes_are_an_executor(processes: Processes) -> None:
    assert list(processes.map(divmod, [7, 8], [2, 3])) == [(3, 1), (2, 2)]
    with pytest.raises(ZeroDivisionError):
        processes.submit(divmod, 1, 0).result()
    with pytest.raises(WorkerError, match="the worker process ended with exit code 3"):
        processes.submit(os._exit, 3).result()
    assert processes.submit(abs, -2).result() == 2


def test_a_program_without_a_guard_is_told(tmp_path: Path) -> None:
    body = "search(local, dict(x=[1, 2]), jobs=1, file='runs')"
    done = subprocess.run(program(tmp_path, body), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert 'what starts the search must be below `if __name__ == "__main__":`' in last
    assert len((tmp_path / "runs").read_text().splitlines()) <= 1


def test_a_function_of_the_prompt_is_explained() -> None:
    text = "from tinygrad_mnist.search import search\ndef f(x): return x\nsearch(f, dict(x=[1]))\n"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert "defined at Python's prompt or in a notebook" in last
    assert "executor=concurrent.futures.ThreadPoolExecutor(1)" in last


def test_ctrl_c_leaves_what_is_done(tmp_path: Path) -> None:
    file = tmp_path / "runs"
    body = (
        f"{GUARD}try:\n        search(slow_after_three, dict(x=[1, 2, 3, 4, 5]), jobs=2,"
        f" file={str(file)!r})\n    except KeyboardInterrupt as error:\n"
        "        print(len(done_before(error)))"
    )
    process = subprocess.Popen(
        program(tmp_path, body),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_bytes().count(b"\n") == 4):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err) == ("3\n", "")
    assert file.read_bytes().count(b"\n") == 4
