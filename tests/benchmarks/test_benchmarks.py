"""The benchmark: its counts, its comparisons, its command, and our worker; no peer is needed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks/ is not installed

import tinygrad_mnist as theano  # noqa: E402
import tinygrad_mnist.tensor as T  # noqa: E402, N812
from benchmarks.cold import KEYS, starts, table  # noqa: E402
from benchmarks.gpu import describe  # noqa: E402
from benchmarks.job import FRAMEWORKS, Job, jobs_of  # noqa: E402
from benchmarks.match import NOISE, Result, Worker, WorkerError, missing, play  # noqa: E402
from benchmarks.ours import Steps, adam_updates  # noqa: E402
from benchmarks.report import (  # noqa: E402
    best_peer,
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


# --- workloads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mflop"),
    [
        *[("W1", 3.2), ("W2", 28.9), ("W3", 92.2), ("W4", 187), ("W3@128", 1180)],
        *[("W5", 946), ("W5-relu-pool", 946), ("W6", 1440), ("W7", 89_970), ("W3-infer@1", 3.27)],
    ],
)
def test_dense_flops_of_a_step(name: str, mflop: float) -> None:
    assert parse(name).flops / 1e6 == pytest.approx(mflop, rel=0.01)


def test_names_of_workloads() -> None:
    assert parse("W3@10").name == "W3"
    assert parse("W3-infer@1").infer
    assert parse("W4@20").without_dropout.name == "W4-nodrop@20"
    assert parse("W5-relu-pool-infer@4").name == "W5-relu-pool-infer@4"
    for wrong in ("W9", "W3@", "W3@x", "W3@0", "w3", "W6-infer"):
        with pytest.raises(ValueError, match="no workload"):
            parse(wrong)


def test_both_layouts_are_the_same_net() -> None:
    """A dense layer behind a convolution gets the same numbers in either order of axes."""
    net = parse("W2").net
    first, last = initial_parameters(net), channels_last(net)
    np.testing.assert_array_equal(first[0][0].transpose(2, 3, 1, 0), last[0][0])
    maps = np.random.default_rng(0).random((3, 20, 12, 12))
    np.testing.assert_allclose(
        maps.reshape(3, -1) @ first[1][0], maps.transpose(0, 2, 3, 1).reshape(3, -1) @ last[1][0]
    )


@pytest.mark.parametrize(
    ("workload", "device", "framework", "modes"),
    [
        ("W1", "cpu", "pytorch", ["eager", "compile"]),
        ("W3", "cpu", "pytorch", ["eager", "channels-last", "compile"]),
        ("W3-infer@1", "cpu", "jax", ["call-convolve", "loop-convolve"]),
        ("W3-infer@1", "cpu", "pytensor", []),
        ("W1", "cuda", "pytorch", ["eager", "compile", "graph"]),
        # A CUDA graph made by hand restores weights alone, and W5 has Adam's averages too.
        ("W5", "cuda", "pytorch", ["eager", "channels-last", "compile", "compile-channels-last"]),
        ("W1", "cuda", "tensorflow", []),
    ],
)
def test_modes_of_a_workload(workload: str, device: str, framework: str, modes: list[str]) -> None:
    assert [job.mode for job in jobs_of(parse(workload), [framework], 1, device)] == modes


# --- figures --------------------------------------------------------------------------------------


def result(framework: str, mode: str, times: list[float]) -> Result:
    facts = {"version": "1", "import_s": 0.1}
    costs = {NOISE: [1.0, 2.0]}
    details = {"executed_flops": 2_000_000} if framework == "ours" else {}
    return Result(Job(framework, mode, 1, "W1"), facts, 0.5, 10**8, {NOISE: times}, costs, details)


def test_ratios_are_of_neighbours() -> None:
    """A slow spell of the machine that hits both leaves the ratio as it is."""
    assert ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == (2.0, 2.0)
    assert ratio([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5) == (3.0, 2.0)


def test_calls_and_loops_are_compared_with_the_best_peer() -> None:
    results = [
        result("ours", "call", [2.0, 2.0]),
        result("ours", "loop", [1.0, 1.0]),
        result("jax", "call", [5.0, 5.0]),
        result("jax", "loop", [4.0, 4.0]),
        result("pytorch", "eager", [3.0, 3.0]),
    ]
    best = best_peer(results, {r.job.loops: r for r in results[:2]}, NOISE)
    found = {kind: (peer["name"], peer["ratio"]) for kind, peer in best.items()}
    assert found == {
        "call": ("pytorch, eager", 1.5),
        "loop": ("jax, scan", 4.0),
        "any": ("pytorch, eager", 3.0),
    }
    part = figures(parse("W1"), results, 1e9)
    assert "3.00 times as fast" in markdown([part])
    assert "10 | 3 (pytorch, eager) | **3.00** (3.00) | 5 | 3 (pytorch" in summary([part])


def test_costs_that_differ_are_shown() -> None:
    results = [result(*job, [1.0]) for job in (("ours", "call"), ("ours", "loop"), ("jax", "call"))]
    results[2].costs[NOISE] = [1.0, 2.5]
    part = figures(parse("W1"), results, 1e9)
    assert part["rows"][2]["agrees"] is False
    assert "costs differ by 2.5e-01" in markdown([part])


def test_reports_are_made_in_pieces_on_one_machine() -> None:
    def report(python: str, *names: str) -> dict[str, object]:
        parts = [{"workload": name, "python": python, "rows": []} for name in names]
        return {"python": python, "workloads": parts}

    both = merged(report("3.12", "W1", "W3"), report("3.12", "W3", "W2", "W1@7"))
    assert [part["workload"] for part in both["workloads"]] == ["W1", "W2", "W3", "W1@7"]
    with pytest.raises(ValueError, match=r"python is 3\.11, but 3\.12 in the report"):
        merged(report("3.12", "W1"), report("3.11", "W2"))


def test_a_report_says_what_it_was_measured_on() -> None:
    part = figures(parse("W1"), [result("ours", m, [1.0]) for m in ("call", "loop")], 1e9)
    common = {"date": "2026-01-01", "python": "3.12", "numpy": "2.4", "workloads": [part]}
    gpu = {"gpu": "GPU", "driver": "580.1", "driver_cuda": "13.0", "multiprocessors": 132}
    text = heading({**common, **gpu, "peak_flops": 6.7e13})
    assert text.startswith("2026-01-01: GPU, driver 580.1 (CUDA 13.0), 132 multiprocessors")
    cpu = {"processor": "AMD EPYC", "threads": 2, "simd": "avx2"}
    assert "AMD EPYC, 2 threads, avx2" in heading({**common, **cpu})


# --- workers --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
def test_our_modes_are_timed_and_one_that_fails_is_left_out(noise: str) -> None:
    """Real images are timed, and costs compared on noise."""
    jobs = [*jobs_of(parse("W1"), ["ours"], 1), Job("nobody", "call", 1, "W1")]
    said: list[str] = []
    data = {"MNIST": noise, NOISE: noise}
    results, problems = play(jobs, data, 3, 0.005, said.append, timed=["MNIST"])
    assert problems == ["nobody, call: KeyError: 'nobody'"]
    assert [r.job.name for r in results] == ["ours, call", "ours, sweep"]
    assert [(*r.times, len(r.times["MNIST"])) for r in results] == [("MNIST", 3), ("MNIST", 3)]
    assert all(t > 0 for r in results for t in r.times["MNIST"])
    np.testing.assert_allclose(results[0].costs[NOISE], results[1].costs[NOISE], rtol=1e-6)
    report = figures(parse("W1"), results, 1e11)
    assert report["rows"][0]["data"]["MNIST"]["images_per_s"] > 1000
    assert json.loads(json.dumps(report)) == report


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
def test_an_error_in_a_worker_names_it() -> None:
    worker = Worker(Job("ours", "call", 1, "W1"))
    with pytest.raises(WorkerError, match="ours, call: ValueError: no request 'dance'"):
        worker.ask(do="dance")
    worker = Worker(Job("ours", "call", 1, "W1"))
    worker._signal(signal.SIGKILL)
    with pytest.raises(WorkerError, match="ours, call: it ended"):
        worker.ask(do="reset")


def test_a_framework_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FRAMEWORKS, "nobody", ("benchmarks.peers.nobody", "no_such_package"))
    assert missing(["ours", "nobody"]) == ["nobody"]


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")
def test_starts(noise: str) -> None:
    said: list[str] = []
    jobs = [Job("ours", "call", 1, "W1"), Job("nobody", "call", 1, "W1")]
    (row,) = starts(jobs, noise, 1, said.append)
    assert said == ["starts, round 1 of 1", "left out: nobody, call: KeyError: 'nobody'"]
    assert row["name"] == "ours, call"
    assert set(KEYS) <= set(row)
    assert "| ours, call | 0." in table("W1", [row])


@pytest.mark.parametrize(
    "name", ["W5@2", "W5-relu-pool@2", "W6@2", "W6-nodrop@2", "W4@2", "W3-infer@2"]
)
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


def test_the_order_of_tutorials_is_the_same_net(noise: str) -> None:
    """Without ties the costs are those of the other order, and the kernels pool, too."""
    costs, kernels = [], []
    for name in ("W5@4", "W5-relu-pool@4"):
        steps = Steps(Job("ours", "call", 1, name))
        with np.load(noise) as data:
            steps.load(data["images"], data["labels"])
        costs.append([steps.run(1) for _ in range(4)])
        kernels.append([call.kernel for call in steps.plan.calls])
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-5)
    biased = [k.replace("conv2d_pool", "conv2d_bias_pool") for k in kernels[0] if "grad" not in k]
    assert [k for k in kernels[1] if "grad" not in k] == biased
    assert [k for k in kernels[1] if "conv2d" in k and "grad" in k] == [
        k for k in kernels[0] if "conv2d" in k and "grad" in k
    ]


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
    """The compiled step has Adam written out."""
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


# --- the command ----------------------------------------------------------------------------------


def failing_command(*arguments: str) -> str:
    """What `python -m benchmarks` says of arguments that it refuses."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    return run.stderr


def test_the_command_names_a_wrong_workload() -> None:
    assert "no workload 'W9'" in failing_command("--workloads", "W9", "--frameworks", "jax")


def test_the_command_says_that_there_is_no_gpu() -> None:
    try:
        describe()
    except DeviceError:
        pass
    else:
        pytest.skip("there is a GPU")
    first, last = failing_command("--device", "cuda", "--frameworks", "tensorflow").splitlines()
    assert first == "tensorflow is not run on cuda, and left out"
    assert last.startswith("python -m benchmarks: ")
