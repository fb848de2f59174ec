"""Steps while other processes keep every core busy: what a second thread costs then."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.job import Job
from benchmarks.ours import Steps
from benchmarks.report import ratio
from tinygrad_mnist import config

BUSY = "while True: pass"


def contention(rounds: int, steps: int) -> dict[str, Any]:
    """Seconds of a step of W3 with one and with two threads in turn, all cores being busy.

    Returns medians, and the ratio of two threads' time to one's: median and upper quartile.
    """
    job = Job("ours", "loop", 2, "W3")
    runner = Steps(job)
    rng = np.random.default_rng(0)
    runner.load(rng.random((1000, 784), dtype=np.float32), rng.integers(0, 10, 1000))
    runner.quantum = steps
    runner.run(steps)
    cores = len(os.sched_getaffinity(0))
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(cores)]
    times: dict[int, list[float]] = {1: [], 2: []}
    try:
        for turn in range(rounds):
            for threads in (1, 2) if turn % 2 else (2, 1):
                config.threads = threads
                runner.run(steps)
                begin = time.perf_counter()
                runner.run(steps)
                times[threads].append((time.perf_counter() - begin) / steps)
    finally:
        for process in others:
            process.kill()
            process.wait()
    quotients = np.array(times[2]) / np.array(times[1])
    return {
        "busy_processes": cores,
        "one_thread_s": float(np.median(times[1])),
        "two_threads_s": float(np.median(times[2])),
        "ratio": ratio(times[2], times[1])[0],
        "ratio_upper_quartile": float(np.quantile(quotients, 0.75)),
        "blocks_s": {str(threads): values for threads, values in times.items()},
    }
