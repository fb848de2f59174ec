"""A worker process: one job, made ready once, then blocks of its steps on demand.

    python -m benchmarks.worker JOB

Requests and answers are lines of JSON on standard input and output:
    {"do": "load", "path": FILE}     arrays images (n, 784) and labels (n,) of an .npz file
    {"do": "reset"}                  initial weights, first mini-batch
    {"do": "run", "steps": N}        -> seconds, and the costs of the last call
    {"do": "memory"}                 -> the process's peak resident memory in bytes, and details
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from typing import Any

import numpy as np

from benchmarks.job import FRAMEWORKS, Job, Steps

MAX_COSTS = 20  # of a run that are sent back


def answers_to(steps: Steps, request: dict[str, Any]) -> dict[str, Any]:
    """Does what a request asks for."""
    if request["do"] == "load":
        with np.load(request["path"]) as data:
            steps.load(data["images"], data["labels"])
        return {}
    if request["do"] == "reset":
        steps.reset()
        return {}
    if request["do"] == "run":
        begin = time.perf_counter()
        costs = steps.run(request["steps"])
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "costs": np.ravel(costs)[:MAX_COSTS].tolist()}
    if request["do"] == "memory":
        unit = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {"bytes": memory, "details": getattr(steps, "details", {})}
    raise ValueError(f"no request {request['do']!r}")


def main() -> None:
    """Announces import and build times, then serves until standard input ends."""
    # What frameworks print must not come between the answers.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(answer: dict[str, Any]) -> None:
        channel.write(json.dumps(answer) + "\n")
        channel.flush()

    job = Job.from_json(sys.argv[1])
    try:
        begin = time.perf_counter()
        module = importlib.import_module(FRAMEWORKS[job.framework][0])
        imported = time.perf_counter()
        steps: Steps = module.Steps(job)
        built = time.perf_counter()
        version = importlib.import_module(FRAMEWORKS[job.framework][1]).__version__
        send(
            {
                "import_s": imported - begin,
                "build_s": built - imported,
                "quantum": steps.quantum,
                "version": version,
            }
        )
        for line in sys.stdin:
            send(answers_to(steps, json.loads(line)))
    except Exception as error:
        send({"error": f"{type(error).__name__}: {error}"})
        raise


if __name__ == "__main__":
    main()
