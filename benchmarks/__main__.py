"""Time training steps of this package beside those of other frameworks, interleaved in one run.

Run it in the project's folder, with the frameworks installed: pip install '.[bench]'

python -m benchmarks                            the whole table; 15 to 40 minutes
python -m benchmarks --quick                    two workloads, a few rounds
python -m benchmarks --workloads W5 W6 --output cpu --add       the table in pieces
python -m benchmarks --cold --output cpu --add  imports, first steps and memory
python -m benchmarks --workloads W3 W3@128 --frameworks pytorch jax --threads 1
python -m benchmarks --scaling --output scaling --pictures docs    time per FLOP over sizes
python -m benchmarks --contention               a second thread while every core is busy
python -m benchmarks --device cuda              on a GPU, beside PyTorch and JAX; about 8 minutes
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cold, pictures, scaling, spread
from benchmarks.contention import contention
from benchmarks.gpu import describe
from benchmarks.job import FRAMEWORKS, MODES, jobs_of, peers_of
from benchmarks.match import NOISE, Result, missing, play
from benchmarks.report import check_same_machine, figures, heading, markdown, merged, summary
from benchmarks.workloads import DEFAULT, DEFAULT_CUDA, QUICK, Workload, parse
from tinygrad_mnist import _native, _version
from tinygrad_mnist.datasets import DatasetError, load_mnist, locate
from tinygrad_mnist.errors import DeviceError
from tinygrad_mnist.plots.figures import figure_class

IMAGES = {"cpu": 10_000, "cuda": 50_000}
BLOCK_S = {"cpu": 0.25, "cuda": 0.1}
MINUTES = {"cpu": float("inf"), "cuda": 8.0}
RESULTS = Path(__file__).parent / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    default = f"default: {' '.join(DEFAULT)}; with cuda {' '.join(DEFAULT_CUDA)}"
    parser.add_argument("--device", choices=tuple(MODES), default="cpu", help="default: cpu")
    parser.add_argument("--workloads", nargs="+", help=default)
    peers = [f for f in FRAMEWORKS if f != "ours"]
    parser.add_argument("--frameworks", nargs="+", choices=peers)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads; default: 2")
    parser.add_argument("--rounds", type=int, default=11, help="timed blocks per mode; default: 11")
    parser.add_argument(
        "--seconds", type=float, help="length of a block; default: 0.25, with cuda 0.1"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="skip workloads that would end later; default: no limit, with cuda 8",
    )
    parser.add_argument("--data", help="MNIST folder or pickle; default: the usual places")
    parser.add_argument("--quick", action="store_true", help="only W1 and W3, in five rounds")
    parser.add_argument(
        "--every-mode", action="store_true", help="also time modes of peers that are far behind"
    )
    parser.add_argument("--noise", action="store_true", help="time on noise as well as on MNIST")
    parser.add_argument(
        "--cold", action="store_true", help="time imports and first steps of W3 only"
    )
    parser.add_argument(
        "--contention",
        action="store_true",
        help="time W3 with one and two threads while every core is busy, only",
    )
    parser.add_argument(
        "--scaling",
        action="store_true",
        help="time per FLOP over mini-batches, images and filters with one thread and with "
        "--threads; and the schedule over 4 to 16 threads; only",
    )
    parser.add_argument("--pictures", type=Path, help="with --scaling: a folder for its pictures")
    parser.add_argument("--output", help="name of the files under benchmarks/results, or a path")
    parser.add_argument("--add", action="store_true", help="add to the existing output")
    options = parser.parse_args()
    if options.pictures is not None and not options.scaling:
        parser.error("--pictures is for --scaling")
    return options


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def data_files(folder: Path, path: str | None, images: int) -> dict[str, str]:
    """Real images where they can be found without a download, and noise, as .npz files."""
    rng = np.random.default_rng(0)
    sets: dict[str, tuple[Any, Any]] = {
        NOISE: (rng.random((images, 784), dtype=np.float32), rng.integers(0, 10, images))
    }
    try:
        locate(path, fetch=False)
        pixels, labels = load_mnist(path).training
        sets = {"MNIST": (pixels[:images], labels[:images]), **sets}
    except DatasetError as error:
        if path is not None:
            raise
        say(f"no MNIST, so noise only: {error.args[0].splitlines()[0]}")
    files = {}
    for name, (pixels, labels) in sets.items():
        files[name] = str(folder / f"{name}.npz")
        np.savez(files[name], images=pixels.astype(np.float32), labels=labels.astype(np.int64))
    return files


def processor() -> str:
    """The processor's model, where it is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def machine(device: str, threads: int) -> dict[str, Any]:
    """What the figures depend on. Raises DeviceError where there is no such device."""
    common = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": device,
        "machine": platform.machine(),
        "processor": processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tinygrad_mnist": _version.__version__,
    }
    if device == "cuda":
        return {**common, **describe()}
    return {
        **common,
        "simd": _native.target(),
        "threads": threads,
        "peak_flops": _native.measure_peak("float32", threads),
    }


def chosen_frameworks(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Ours and the peers that are asked for and can be run, and those that are not installed."""
    device = options.device
    wanted = options.frameworks or peers_of(device, options.every_mode)
    for framework in [f for f in wanted if f not in MODES[device]]:
        say(f"{framework} is not run on {device}, and left out")
    wanted = [f for f in wanted if f in MODES[device]]
    absent = missing(wanted)
    for framework in absent:
        package = FRAMEWORKS[framework][1]
        say(f"{framework} is not installed and left out: pip install {package}")
    return ["ours", *(f for f in wanted if f not in absent)], absent


def costs_without_dropout(
    workload: Workload, frameworks: list[str], data: dict[str, str], options: argparse.Namespace
) -> dict[tuple[str, str], dict[str, list[float]]]:
    """By framework and mode, the first costs on noise where nothing is drawn at random."""
    say(f"{workload.name}: costs without dropout")
    jobs = jobs_of(
        workload.without_dropout, frameworks, options.threads, options.device, options.every_mode
    )
    results, problems = play(jobs, {NOISE: data[NOISE]}, 0, 0.0, say, timed=[])
    for problem in problems:
        say(f"costs without dropout: {problem}")
    return {(r.job.framework, r.job.mode): r.costs for r in results}


def compare_one(
    workload: Workload,
    frameworks: list[str],
    data: dict[str, str],
    rounds: int,
    options: argparse.Namespace,
) -> tuple[list[Result], list[str]]:
    """All jobs of one workload; raises RuntimeError where ours fail."""
    say(f"{workload.name}: {workload.net.summary}, mini-batch {workload.batch}")
    jobs = jobs_of(workload, frameworks, options.threads, options.device, options.every_mode)
    # Real images are timed where there are any; noise serves to compare costs.
    timed = list(data) if options.noise else [next(iter(data))]
    seconds = options.seconds or BLOCK_S[options.device]
    results, problems = play(jobs, data, rounds, seconds, say, timed)
    for problem in problems:
        say(f"left out: {problem}")
    if len([r for r in results if r.job.framework == "ours"]) < 2:
        raise RuntimeError("there is nothing to compare with: " + "; ".join(problems))
    if workload.is_random:
        costs = costs_without_dropout(workload, frameworks, data, options)
        for result in results:
            result.costs = costs.get((result.job.framework, result.job.mode), {})
    return results, problems


def begin_report(options: argparse.Namespace, device: str, threads: int) -> dict[str, Any]:
    """A report of the machine alone. Raises ValueError where it cannot be added to `options.old`,
    before anything is measured."""
    report = machine(device, threads)
    if options.old is not None:
        check_same_machine(options.old, report)
    return report


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Every workload in turn; the report is written after each, so that a run may be cut short."""
    began, device = time.monotonic(), options.device
    deadline = began + 60 * (options.minutes or MINUTES[device])
    frameworks, absent = chosen_frameworks(options)
    every = DEFAULT_CUDA if device == "cuda" else DEFAULT
    workloads = [parse(n) for n in options.workloads or (QUICK if options.quick else every)]
    rounds = 5 if options.quick else options.rounds
    report = begin_report(options, device, options.threads)
    report |= {"missing": absent, "workloads": [], "late": []}
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        data = data_files(Path(folder), options.data, IMAGES[device])
        for workload in workloads:
            start = time.monotonic()
            if start + longest > deadline:
                say(f"left out, for it would end too late: {workload.name}")
                report["late"].append(workload.name)
                continue
            results, problems = compare_one(workload, frameworks, data, rounds, options)
            part = figures(workload, results, report["peak_flops"])
            part["problems"] = problems
            report["workloads"].append(part)
            print(markdown([part]), flush=True)
            longest = max(longest, time.monotonic() - start)
            report["seconds"] = time.monotonic() - began
            write(report, options)
    return report


def scale(options: argparse.Namespace) -> None:
    """Curves over sizes, and on paper more threads; the report is written before pictures are
    drawn. Where pictures are wanted, raises ImportError without matplotlib and OSError without a
    folder for them, before anything is measured."""
    if options.pictures is not None:
        figure_class()
        options.pictures.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    report = begin_report(options, "cpu", options.threads)
    names = spread.WORKLOADS[:1] if options.quick else spread.WORKLOADS
    report["spread"] = [spread.figures(name) for name in names]
    print(spread.markdown(report["spread"]), flush=True)
    curves = scaling.scaling(options.threads, 3 if options.quick else 5, say, options.quick)
    report["curves"] = [curve.to_json() for curve in curves]
    print("\n".join(line for curve in curves for line in scaling.describe(curve)) or "no cliffs")
    report["seconds"] = time.monotonic() - began
    write(report, options)
    for path in pictures.draw(curves, options.pictures) if options.pictures is not None else ():
        say(f"written: {path}")


def start_cold(options: argparse.Namespace) -> dict[str, Any]:
    """Starts of W3, with a call per step, of every framework."""
    began = time.monotonic()
    frameworks, absent = chosen_frameworks(options)
    report = begin_report(options, options.device, options.threads)
    workload = parse("W3")
    jobs = jobs_of(workload, frameworks, options.threads, options.device)
    with tempfile.TemporaryDirectory() as folder:
        data = data_files(Path(folder), options.data, IMAGES[options.device])
        called = [job for job in jobs if not job.loops]
        rows = cold.starts(called, next(iter(data.values())), options.rounds, say)
    print(cold.table(workload.name, rows), flush=True)
    report |= {"missing": absent, "seconds": time.monotonic() - began}
    return {**report, "cold": {"workload": workload.name, "rows": rows}}


def earlier_report(options: argparse.Namespace) -> dict[str, Any] | None:
    """What the output has already and is to be added to. It is read once, at the start: a report
    is written several times, and its seconds are added once."""
    if options.output is None or not options.add:
        return None
    path = RESULTS / f"{options.output}.json"
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def write(report: dict[str, Any], options: argparse.Namespace) -> None:
    """The report as JSON, and its tables as Markdown, if an output is named."""
    if options.output is None:
        return
    path = RESULTS / f"{options.output}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if options.old is not None:
        report = merged(options.old, report)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    tables = ""
    if report.get("workloads"):
        tables = heading(report) + summary(report["workloads"]) + markdown(report["workloads"])
    if "spread" in report:
        tables += spread.markdown(report["spread"])
    if "cold" in report:
        tables += "\n" + cold.table(report["cold"]["workload"], report["cold"]["rows"])
    if tables:
        path.with_suffix(".md").write_text(tables, encoding="utf-8")


def main() -> None:
    options = arguments()
    try:
        options.old = earlier_report(options)
        if options.contention:
            report = begin_report(options, "cpu", 2)
            report["contention"] = contention(options.rounds, 100)
            c = report["contention"]
            print(
                f"{c['busy_processes']} busy processes: a step takes {c['one_thread_s'] * 1e6:.0f} "
                f"us with one thread, {c['two_threads_s'] * 1e6:.0f} us with two; ratio "
                f"{c['ratio']:.2f}, upper quartile {c['ratio_upper_quartile']:.2f}"
            )
            write(report, options)
        elif options.scaling:
            scale(options)
        elif options.cold:
            write(start_cold(options), options)
        else:
            report = compare(options)
            print(summary(report["workloads"]))
            write(report, options)
    except (DatasetError, DeviceError, ImportError, OSError, RuntimeError, ValueError) as error:
        raise SystemExit(f"python -m benchmarks: {error}") from error
    if options.output:
        say(f"written: {RESULTS / options.output}.json")


if __name__ == "__main__":
    main()
