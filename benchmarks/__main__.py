"""Training steps of this package beside those of other frameworks, interleaved in one run.

python -m benchmarks                            the whole table
python -m benchmarks --quick                    two workloads, a few rounds
python -m benchmarks --workloads W3 W3@128 --frameworks pytorch jax --threads 1
python -m benchmarks --contention               a second thread while every core is busy
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contention import contention
from benchmarks.job import FRAMEWORKS, jobs_of
from benchmarks.match import NOISE, missing, play
from benchmarks.report import figures, markdown
from benchmarks.workloads import DEFAULT, QUICK, parse
from tinygrad_mnist import _native, _version
from tinygrad_mnist.datasets import DatasetError, load_mnist, locate

IMAGES = 10_000
RESULTS = Path(__file__).parent / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--workloads", nargs="+", help=f"default: {' '.join(DEFAULT)}")
    peers = [f for f in FRAMEWORKS if f != "ours"]
    parser.add_argument("--frameworks", nargs="+", choices=peers, default=peers)
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=11, help="blocks of each; default: 11")
    parser.add_argument("--seconds", type=float, default=0.25, help="of a block; default: 0.25")
    parser.add_argument("--data", help="MNIST folder or pickle; default: the usual places")
    parser.add_argument("--quick", action="store_true", help="W1 and W3 in five rounds")
    parser.add_argument("--contention", action="store_true", help="see above; nothing else is run")
    parser.add_argument("--output", help="name of the files under benchmarks/results")
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def data_files(folder: Path, path: str | None) -> dict[str, str]:
    """Real images where they can be found without a download, and noise, as .npz files."""
    rng = np.random.default_rng(0)
    sets: dict[str, tuple[Any, Any]] = {
        NOISE: (rng.random((IMAGES, 784), dtype=np.float32), rng.integers(0, 10, IMAGES))
    }
    try:
        locate(path, fetch=False)
        images, labels = load_mnist(path).training
        sets = {"MNIST": (images[:IMAGES], labels[:IMAGES]), **sets}
    except DatasetError as error:
        if path is not None:
            raise
        say(f"no MNIST, so noise only: {error.args[0].splitlines()[0]}")
    files = {}
    for name, (images, labels) in sets.items():
        files[name] = str(folder / f"{name}.npz")
        np.savez(files[name], images=images.astype(np.float32), labels=labels.astype(np.int64))
    return files


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tinygrad_mnist": _version.__version__,
        "simd": _native.target(),
        "threads": threads,
        "peak_flops": _native.measure_peak("float32", threads),
    }


def compare(options: argparse.Namespace) -> dict[str, Any]:
    absent = missing(options.frameworks)
    for framework in absent:
        package = FRAMEWORKS[framework][1]
        say(f"{framework} is not installed and left out: pip install {package}")
    frameworks = ["ours", *(f for f in options.frameworks if f not in absent)]
    names = options.workloads or (QUICK if options.quick else DEFAULT)
    rounds = 5 if options.quick else options.rounds
    report: dict[str, Any] = {**machine(options.threads), "missing": absent, "workloads": []}
    with tempfile.TemporaryDirectory() as folder:
        data = data_files(Path(folder), options.data)
        for workload in map(parse, names):
            say(f"{workload.name}: {workload.net.summary}, mini-batch {workload.batch}")
            jobs = jobs_of(workload, frameworks, options.threads)
            results, problems = play(jobs, data, rounds, options.seconds, say)
            for problem in problems:
                say(f"left out: {problem}")
            part = figures(workload, results, report["peak_flops"])
            part["problems"] = problems
            report["workloads"].append(part)
            print(markdown([part]), flush=True)
    return report


def main() -> None:
    options = arguments()
    try:
        if options.contention:
            report = {**machine(2), "contention": contention(options.rounds, 100)}
            c = report["contention"]
            print(
                f"{c['busy_processes']} busy processes: a step takes {c['one_thread_s'] * 1e6:.0f} "
                f"us with one thread, {c['two_threads_s'] * 1e6:.0f} us with two; ratio "
                f"{c['ratio']:.2f}, upper quartile {c['ratio_upper_quartile']:.2f}"
            )
        else:
            report = compare(options)
    except (DatasetError, ValueError) as error:
        raise SystemExit(f"python -m benchmarks: {error}") from error
    if options.output:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{options.output}.json"
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        say(f"written: {path}")
        if "workloads" in report:
            tables = RESULTS / f"{options.output}.md"
            tables.write_text(markdown(report["workloads"]), encoding="utf-8")


if __name__ == "__main__":
    main()
