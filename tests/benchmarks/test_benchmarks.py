"""The benchmark: what it counts, how it compares, and our own worker; no peer is needed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks/ is not installed

from benchmarks.gpu import describe  # noqa: E402
from benchmarks.job import FRAMEWORKS, Job, jobs_of  # noqa: E402
from benchmarks.match import NOISE, Result, Worker, WorkerError, missing, play  # noqa: E402
from benchmarks.report import (  # noqa: E402
    best_peer,
    disagreement,
    figures,
    heading,
    markdown,
    ratio,
)
from benchmarks.workloads import channels_last, initial_weights, parse  # noqa: E402
from tinygrad_mnist.errors import DeviceError  # noqa: E402


@pytest.fixture
def noise(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    path = tmp_path / "noise.npz"
    images = rng.random((60, 784), dtype=np.float32)
    np.savez(path, images=images, labels=rng.integers(0, 10, 60))
    return str(path)


@pytest.mark.parametrize(
    ("name", "mflop"), [("W1", 3.2), ("W2", 28.9), ("W3", 92.2), ("W4", 187), ("W3@128", 1180)]
)
def test_dense_flops_of_a_step(name: str, mflop: float) -> None:
    assert parse(name).flops / 1e6 == pytest.approx(mflop, rel=0.01)


def test_names_of_workloads() -> None:
    assert parse("W3@128").name == "W3@128"
    assert parse("W3@10").name == "W3"
    assert parse("W3-infer@1").infer
    for wrong in ("W9", "W3@", "W3@x", "W3@0", "w3"):
        with pytest.raises(ValueError, match="no workload"):
            parse(wrong)


def test_both_layouts_are_the_same_net() -> None:
    """A dense layer behind a convolution sees the same numbers in either order of axes."""
    net = parse("W2").net
    first, last = initial_weights(net), channels_last(net)
    np.testing.assert_array_equal(first[0][0].transpose(2, 3, 1, 0), last[0][0])
    maps = np.random.default_rng(0).random((3, 20, 12, 12))
    np.testing.assert_allclose(
        maps.reshape(3, -1) @ first[1][0], maps.transpose(0, 2, 3, 1).reshape(3, -1) @ last[1][0]
    )


def test_layouts_differ_only_where_there_are_images() -> None:
    assert "channels-last" not in [j.mode for j in jobs_of(parse("W1"), ["pytorch"], 1)]
    assert "channels-last" in [j.mode for j in jobs_of(parse("W3"), ["pytorch"], 1)]
    assert jobs_of(parse("W3-infer@1"), ["pytensor"], 1) == []


def test_jobs_on_a_gpu() -> None:
    """Frameworks that don't run there have none; graphs are of training steps."""

    def names(workload: str) -> list[str]:
        return [j.name for j in jobs_of(parse(workload), list(FRAMEWORKS), 1, "cuda")]

    common = ["ours, call", "ours, sweep"]
    torch = ["pytorch, eager", "pytorch, torch.compile", "pytorch, CUDAGraph"]
    assert names("W1") == [*common, *torch, "jax, jit", "jax, scan"]
    assert {"pytorch, CUDAGraph, channels-last", "jax, scan, convolutions as products"} < set(
        names("W3@128")
    )
    assert "pytorch, CUDAGraph" not in names("W3-infer@10")
    assert {j.device for j in jobs_of(parse("W1"), ["ours"], 1, "cuda")} == {"cuda"}


@pytest.mark.parametrize(
    ("device", "workload", "steps"),
    [("cpu", "W1", 500), ("cpu", "W3@1000", 1), ("cuda", "W3", 1000), ("cuda", "W3@10000", 10)],
)
def test_steps_of_a_loop(device: str, workload: str, steps: int) -> None:
    job = Job("ours", "loop", 1, workload, device)
    assert job.loops
    assert job.loop == steps


def test_a_gpu_is_described_or_said_to_be_missing() -> None:
    try:
        found = describe()
    except DeviceError as error:
        assert str(error).startswith("no GPU can be used: ")  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert found["gpu"]
        assert found["peak_flops"] > 1e11


def result(framework: str, mode: str, times: list[float]) -> Result:
    facts = {"version": "1", "import_s": 0.1}
    costs = {NOISE: [1.0, 2.0]}
    return Result(Job(framework, mode, 1, "W1"), facts, 0.5, 10**8, {NOISE: times}, costs)


def test_ratios_are_of_neighbours() -> None:
    """A slow spell of the machine that hits both leaves the ratio."""
    assert ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == (2.0, 2.0)
    median, lower = ratio([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5)
    assert (median, lower) == (3.0, 2.0)


def test_the_best_peer_is_found_per_kind_of_mode() -> None:
    results = [
        result("ours", "call", [2.0, 2.0]),
        result("ours", "loop", [1.0, 1.0]),
        result("jax", "call", [5.0, 5.0]),
        result("jax", "loop", [4.0, 4.0]),
        result("pytorch", "eager", [3.0, 3.0]),
    ]
    best = best_peer(results, {r.job.loops: r for r in results[:2]}, NOISE)
    assert best["call"]["name"] == "pytorch, eager"
    assert best["call"]["ratio"] == 1.5
    assert best["loop"]["name"] == "jax, scan"
    assert best["any"] == {"name": "pytorch, eager", "ratio": 3.0, "ratio_lower_quartile": 3.0}
    table = markdown([figures(parse("W1"), results, 1e9)])
    assert "| jax, scan | 2 |" in table.replace(",000,000", "")
    assert "3.00 times as fast" in table


def test_costs_that_differ_are_shown() -> None:
    ours, wrong = result("ours", "call", [1.0]), result("jax", "call", [1.0])
    loop = result("ours", "loop", [1.0])
    wrong.costs[NOISE] = [1.0, 2.5]
    assert disagreement([1.0, 2.5], [1.0, 2.0]) == 0.25
    assert "costs differ by 2.5e-01" in markdown([figures(parse("W1"), [ours, loop, wrong], 1e9)])


def test_a_report_says_what_it_was_measured_on() -> None:
    rows = figures(parse("W1"), [result("ours", m, [1.0]) for m in ("call", "loop")], 1e9)
    rows["rows"][1]["details"] = {"numba": "1.2", "cudagraph_skips": 3}
    common = {"date": "2026-01-01", "python": "3.12", "numpy": "2.4", "workloads": [rows]}
    gpu = {"gpu": "GPU", "driver": "580.1", "driver_cuda": "13.0", "multiprocessors": 132}
    text = heading({**common, **gpu, "peak_flops": 6.7e13})
    assert text.startswith("2026-01-01: GPU, driver 580.1 (CUDA 13.0), 132 multiprocessors")
    assert "peak 67.0 TFLOP/s" in text
    assert "ours 1 (numba 1.2)" in text
    assert "2 threads, avx2" in heading({**common, "threads": 2, "simd": "avx2"})


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FRAMEWORKS, "nobody", ("benchmarks.peers.nobody", "no_such_package"))
    assert missing(["ours", "nobody"]) == ["nobody"]


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
def test_our_modes_play_against_each_other(noise: str) -> None:
    """Both compute the same costs; the worker that is not asked stands still."""
    jobs = jobs_of(parse("W1"), ["ours"], 1)
    said: list[str] = []
    results, problems = play(jobs, {NOISE: noise}, 3, 0.005, said.append)
    assert problems == []
    assert [len(r.times[NOISE]) for r in results] == [3, 3]
    np.testing.assert_allclose(results[0].costs[NOISE], results[1].costs[NOISE], rtol=1e-6)
    assert all(t > 0 for r in results for t in r.times[NOISE])
    report = figures(parse("W1"), results, 1e11)
    assert report["rows"][0]["data"][NOISE]["images_per_s"] > 1000
    assert json.loads(json.dumps(report)) == report


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
def test_who_fails_is_out(noise: str) -> None:
    """The others play on; real images are timed, and costs compared on noise."""
    jobs = [*jobs_of(parse("W1"), ["ours"], 1), Job("nobody", "call", 1, "W1")]
    said: list[str] = []
    data = {"MNIST": noise, NOISE: noise}
    results, problems = play(jobs, data, 2, 0.005, said.append, timed=["MNIST"])
    assert [r.job.name for r in results] == ["ours, call", "ours, sweep"]
    assert problems == ["nobody, call: KeyError: 'nobody'"]
    assert [list(r.times) for r in results] == [["MNIST"], ["MNIST"]]
    assert [list(r.costs) for r in results] == [[NOISE], [NOISE]]
    assert said[-2:] == ["timing on MNIST", "costs on noise"]


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
def test_a_worker_that_fails_is_named(noise: str) -> None:
    worker = Worker(Job("ours", "call", 1, "W1"))
    with pytest.raises(WorkerError, match="ours, call: ValueError: no request 'dance'"):
        worker.ask(do="dance")


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
def test_a_worker_that_died_is_named() -> None:
    worker = Worker(Job("ours", "call", 1, "W1"))
    worker._signal(signal.SIGKILL)
    with pytest.raises(WorkerError, match="ours, call: it ended"):
        worker.ask(do="reset")


def test_the_command_names_a_wrong_workload() -> None:
    run: Any = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--workloads", "W9", "--frameworks", "jax"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "no workload 'W9'" in run.stderr


def test_the_command_says_that_there_is_no_gpu() -> None:
    try:
        describe()
    except DeviceError:
        pass
    else:
        pytest.skip("there is a GPU")
    run: Any = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--device", "cuda", "--frameworks", "tensorflow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    first, last = run.stderr.splitlines()
    assert first == "tensorflow is not run on cuda, and left out"
    assert last.startswith("python -m benchmarks: ")
