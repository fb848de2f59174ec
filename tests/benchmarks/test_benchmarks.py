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

import tinygrad_mnist as theano  # noqa: E402
import tinygrad_mnist.tensor as T  # noqa: E402, N812
from benchmarks.cold import KEYS, import_seconds, start, starts, table  # noqa: E402
from benchmarks.gpu import describe  # noqa: E402
from benchmarks.job import FRAMEWORKS, MODES, Job, jobs_of, peers_of  # noqa: E402
from benchmarks.match import (  # noqa: E402
    LEAST_ROUNDS,
    NOISE,
    Result,
    Worker,
    WorkerError,
    missing,
    play,
    turns,
)
from benchmarks.ours import Steps, adam_updates  # noqa: E402
from benchmarks.report import (  # noqa: E402
    best_peer,
    disagreement,
    figures,
    heading,
    markdown,
    merged,
    ratio,
    summary,
)
from benchmarks.workloads import Adam, channels_last, initial_parameters, parse  # noqa: E402
from tinygrad_mnist.errors import DeviceError  # noqa: E402


@pytest.fixture
def noise(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    path = tmp_path / "noise.npz"
    images = rng.random((60, 784), dtype=np.float32)
    np.savez(path, images=images, labels=rng.integers(0, 10, 60))
    return str(path)


@pytest.mark.parametrize(
    ("name", "mflop"),
    [
        *[("W1", 3.2), ("W2", 28.9), ("W3", 92.2), ("W4", 187), ("W3@128", 1180)],
        *[("W5", 946), ("W6", 1440), ("W7", 89_970), ("W3-infer@1", 3.27)],
    ],
)
def test_dense_flops_of_a_step(name: str, mflop: float) -> None:
    assert parse(name).flops / 1e6 == pytest.approx(mflop, rel=0.01)


def test_parameters_of_the_deep_net() -> None:
    layers = initial_parameters(parse("W7").net)
    assert sum(v.size for layer in layers for v in layer) == 2_391_370


def test_names_of_workloads() -> None:
    assert parse("W3@128").name == "W3@128"
    assert parse("W3@10").name == "W3"
    assert parse("W3-infer@1").infer
    assert parse("W4").is_random
    assert not parse("W4").without_dropout.is_random
    assert parse("W4@20").without_dropout.name == "W4-nodrop@20"
    assert parse("W4-nodrop@20").net == parse("W4").net
    for wrong in ("W9", "W3@", "W3@x", "W3@0", "w3", "W6-infer"):
        with pytest.raises(ValueError, match="no workload"):
            parse(wrong)


def test_both_layouts_are_the_same_net() -> None:
    """A dense layer behind a convolution sees the same numbers in either order of axes."""
    net = parse("W2").net
    first, last = initial_parameters(net), channels_last(net)
    np.testing.assert_array_equal(first[0][0].transpose(2, 3, 1, 0), last[0][0])
    maps = np.random.default_rng(0).random((3, 20, 12, 12))
    np.testing.assert_allclose(
        maps.reshape(3, -1) @ first[1][0], maps.transpose(0, 2, 3, 1).reshape(3, -1) @ last[1][0]
    )


def test_layouts_differ_only_where_there_are_images() -> None:
    assert "channels-last" not in [j.mode for j in jobs_of(parse("W1"), ["pytorch"], 1)]
    assert "channels-last" in [j.mode for j in jobs_of(parse("W3"), ["pytorch"], 1)]
    assert jobs_of(parse("W3-infer@1"), ["pytensor"], 1) == []


def test_hopeless_modes_are_left_out() -> None:
    def modes(workload: str, every: bool) -> list[str]:
        return [j.mode for j in jobs_of(parse(workload), ["jax"], 1, every=every)]

    assert modes("W3", every=False) == ["call", "loop"]
    assert modes("W6", every=False) == ["call", "call-convolve", "loop"]
    assert modes("W3-infer@1", every=False) == ["call-convolve", "loop-convolve"]
    assert modes("W1", every=False) == ["call", "loop"]
    assert modes("W1-infer@10", every=False) == ["call", "loop"]
    assert modes("W3", every=True) == list(MODES["cpu"]["jax"])


def test_pytensor_is_timed_where_it_is_named() -> None:
    assert peers_of("cpu") == ["pytorch", "jax", "tensorflow"]
    assert "pytensor" in peers_of("cpu", every=True)
    assert [j.mode for j in jobs_of(parse("W3"), ["pytensor"], 1)] == ["call"]


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
    for workload in ("W3-infer@10", "W5"):  # a graph by hand restores weights alone
        assert "pytorch, CUDAGraph" not in names(workload)
    assert {j.device for j in jobs_of(parse("W1"), ["ours"], 1, "cuda")} == {"cuda"}


@pytest.mark.parametrize(
    ("device", "workload", "steps"),
    [("cpu", "W1", 500), ("cpu", "W7", 1), ("cuda", "W3", 1000), ("cuda", "W3@10000", 10)],
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
    details = {"executed_flops": 2_000_000} if framework == "ours" else {}
    return Result(Job(framework, mode, 1, "W1"), facts, 0.5, 10**8, {NOISE: times}, costs, details)


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
    assert best["any"] == {
        "name": "pytorch, eager",
        "images_per_s": 10 / 3,
        "our_images_per_s": 10.0,
        "ratio": 3.0,
        "ratio_lower_quartile": 3.0,
    }
    part = figures(parse("W1"), results, 1e9)
    rows = markdown([part])
    assert "| jax, scan | 2 |" in rows.replace(",000,000", "")
    assert "3.00 times as fast" in rows
    assert "3.2 MFLOP a step, of which we execute 2.0" in rows
    assert (
        "| W1 | 3.2 (2.0) | 10 | 3 (pytorch, eager) | **3.00** (3.00) "
        "| 5 | 3 (pytorch, eager) | **1.50** (1.50) |"
    ) in summary([part])


def test_reports_are_made_in_pieces() -> None:
    common = {"device": "cpu", "simd": "avx2", "python": "3.12"}
    old = {
        **common,
        "workloads": [{"workload": w, "n": 1, "rows": []} for w in ("W1", "W3")],
        "cold": {"a": 1},
    }
    new = {
        **common,
        "workloads": [{"workload": w, "n": 2, "rows": []} for w in ("W3", "W2", "W1@7")],
    }
    both = merged(old, new)
    names = [(part["workload"], part["n"]) for part in both["workloads"]]
    assert names == [("W1", 1), ("W2", 2), ("W3", 2), ("W1@7", 2)]
    assert both["cold"] == {"a": 1}
    with pytest.raises(ValueError, match=r"python is 3\.11, but 3\.12 in the report"):
        merged(old, {**new, "python": "3.11"})
    with pytest.raises(ValueError, match="processor is Zen 3, but None"):
        merged(old, {**new, "processor": "Zen 3"})


def test_pieces_of_reports_are_of_the_same_versions() -> None:
    row = {"job": {"framework": "jax"}, "version": "0.10", "details": {"jaxlib": "0.10"}}
    part = {"workload": "W1", "rows": [row]}
    old = {"workloads": [part], "missing": ["pytensor"], "late": ["W2", "W7"], "seconds": 2.0}
    new = {"workloads": [{**part, "workload": "W2"}], "missing": ["tensorflow"], "seconds": 3.0}
    both = merged(old, new)
    assert both["missing"] == ["pytensor", "tensorflow"]
    assert both["late"] == ["W7"]
    assert both["seconds"] == 5.0
    row_of_newer = {**row, "details": {"jaxlib": "0.11"}}
    with pytest.raises(ValueError, match=r"jax is jax 0\.10 \(jaxlib 0\.11\), but"):
        merged(old, {"workloads": [{"workload": "W3", "rows": [row_of_newer]}]})


def test_slow_steps_are_timed_in_fewer_rounds() -> None:
    assert turns(11, 2.0) == 11
    assert turns(11, 7.0) == 8
    assert turns(11, 100.0) == LEAST_ROUNDS
    assert turns(2, 100.0) == 2


def test_costs_that_differ_are_shown() -> None:
    ours, wrong = result("ours", "call", [1.0]), result("jax", "call", [1.0])
    loop = result("ours", "loop", [1.0])
    wrong.costs[NOISE] = [1.0, 2.5]
    assert disagreement([1.0, 2.5], [1.0, 2.0]) == 0.25
    assert "costs differ by 2.5e-01" in markdown([figures(parse("W1"), [ours, loop, wrong], 1e9)])


def test_costs_of_nets_with_dropout_are_compared() -> None:
    """They are those without it; where our run of that failed, there are none."""
    results = [result(*who, [1.0]) for who in (("ours", "call"), ("ours", "loop"), ("jax", "call"))]
    results[2].costs[NOISE] = [1.0, 2.5]
    assert figures(parse("W4"), results, 1e9)["rows"][2]["agrees"] is False
    results[0].costs = {}
    assert "agrees" not in figures(parse("W4"), results, 1e9)["rows"][2]


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


@pytest.mark.parametrize("name", ["W5@2", "W6@2", "W6-nodrop@2", "W4@2", "W3-infer@2"])
def test_our_nets_take_steps(name: str) -> None:
    """From the initial values again after a reset, running averages and moments too."""
    rng = np.random.default_rng(0)
    steps = Steps(Job("ours", "call", 1, name))
    steps.load(rng.random((8, 784), dtype=np.float32), rng.integers(0, 10, 8))
    steps.reset()
    first = [steps.run(1) for _ in range(3)]
    steps.reset()
    again = [steps.run(1) for _ in range(3)]
    assert np.isfinite(first).all()
    if not parse(name).is_random:
        np.testing.assert_array_equal(first, again)
    executed = steps.details["executed_flops"]
    # Pooled gradients execute a quarter; a first layer's and the elementwise work is on top.
    assert 0.4 * parse(name).flops < executed < 1.2 * parse(name).flops


def test_adam_takes_the_steps_of_its_paper() -> None:
    rng = np.random.default_rng(0)
    values, gradients = rng.standard_normal(7), rng.standard_normal((4, 7))
    w, g = theano.shared(values), T.dvector("g")
    step = theano.function([g], [], updates=adam_updates(Adam(), 0.1, [(w, g)]))
    first, second = np.zeros(7), np.zeros(7)
    for t, gradient in enumerate(gradients, 1):
        step(gradient)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        deviation = np.sqrt(second / (1 - 0.999**t)) + 1e-8
        values = values - 0.1 * first / (1 - 0.9**t) / deviation
        # The count is float32: 1 - 0.999^t is off by 6e-8 / 0.001, and a step by 0.1 of that.
        np.testing.assert_allclose(w.get_value(), values, rtol=0, atol=6e-6 * t)


def test_adam_in_pytorch_is_its_optimiser() -> None:
    """What the compiled step has written out."""
    torch = pytest.importorskip("torch")
    from benchmarks.peers.torch_ import State, descend

    net = parse("W5").net
    w, m, v = torch.randn(7, dtype=torch.float64), *torch.zeros(2, 7, dtype=torch.float64)
    t, wanted = torch.zeros((), dtype=torch.float64), w.clone()
    assert net.adam is not None
    betas = (net.adam.beta1, net.adam.beta2)
    optimiser = torch.optim.Adam([wanted], net.rate, betas, net.adam.epsilon)
    for _ in range(4):
        wanted.grad = torch.randn(7, dtype=torch.float64)
        optimiser.step()
        descend(net, State([(w,)], [], [[(m,)], [(v,)]], t), [(wanted.grad,)])
        np.testing.assert_allclose(w, wanted, rtol=1e-12)


@pytest.mark.skipif(sys.platform == "win32", reason="pins processes to cores")
def test_an_import_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FRAMEWORKS, "nobody", ("benchmarks.peers.nobody", "no_such_package"))
    with pytest.raises(WorkerError, match="nobody, call: ModuleNotFoundError"):
        import_seconds(Job("nobody", "call", 1, "W1"))


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
def test_starts(noise: str) -> None:
    ours = Job("ours", "call", 1, "W1")
    once = start(ours, noise)
    assert set(once) == set(KEYS)
    assert all(0 < once[key] < 30 for key in ("first_step_s", "import_s"))
    assert once["memory_bytes"] > 1e7
    said: list[str] = []
    rows = starts([ours, Job("nobody", "call", 1, "W1")], noise, 1, said.append)
    assert said == ["starts, round 1 of 1", "left out: nobody, call: KeyError: 'nobody'"]
    assert [row["name"] for row in rows] == ["ours, call"]
    assert "| ours, call | 0." in table("W1", rows)


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
