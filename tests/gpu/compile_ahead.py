"""Compiles, on a machine without a GPU, what `on_device.sh` runs on a machine with one.

python tests/gpu/compile_ahead.py                       for capability 9.0, into .gpu-kernels
python tests/gpu/compile_ahead.py --capability 8.0 --jobs 8

Everything runs as on a GPU, but kernels are only compiled (see `tinygrad-mnist compile`): results
are zeros, so tests that look at them fail, which is of no account here. It takes about ten minutes
on two processors; a second run compiles what is missing.

Exit status: 0 unless a kernel doesn't compile.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".gpu-kernels"  # git ignores it; on_device.sh looks for it
PART_SECONDS = 1800
FAILED = re.compile(r"^.*(?:doesn't compile|there is no CUDA kernel).*$", re.MULTILINE)
# What stops or starts processes at a certain step waits for steps that are never done here.
LEFT_OUT = "not ctrl_c and not interrupt"

TRAIN = """
import numpy as np
from tinygrad_mnist.booknets import book_net
from tinygrad_mnist.network3 import share_data

def zeros(n):
    return np.zeros((n, 784), np.float32), np.zeros(n, np.int64)

# As many images as MNIST and the rendered digits have: their number is part of the code.
parts = share_data([zeros(50_000), zeros(10_000), zeros(10_000)])
net = book_net("conv2-relu", 10, 1)
net.train(*parts, epochs=3, anneal=True, quiet=True, progress=False)
"""
PROFILE = ("--device", "cuda", "--net", "conv2-relu", "--steps", "20")
BENCHMARK = """
import numpy as np
from benchmarks.job import Job
from benchmarks.ours import Steps

for name in ("W1", "W2", "W3", "W4"):
    for mode in ("call", "loop"):
        steps = Steps(Job("ours", mode, 1, name, "cuda"))
        steps.load(np.zeros((50_000, 784), np.float32), np.zeros(50_000, np.int64))
        steps.run(steps.quantum)
"""


def parts(shares: int) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Commands by name, each with its own environment."""
    python = sys.executable
    suite = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu", "-k", LEFT_OUT]
    found: dict[str, tuple[list[str], dict[str, str]]] = {
        "train": ([python, "-c", TRAIN], {}),
        "benchmark": ([python, "-c", BENCHMARK], {"PYTHONPATH": str(ROOT)}),
        "steps": ([python, "tests/gpu/time_steps.py"], {}),
        "profile": ([python, "-m", "tinygrad_mnist", "profile", *PROFILE], {}),
    }
    for k in range(shares):
        share = {"TINYGRAD_MNIST_GPU_TESTS": "gpu", "TINYGRAD_MNIST_GPU_SHARE": f"{k}/{shares}"}
        found[f"suite {k}/{shares}"] = (suite, share)
    return found


def run(command: list[str], environment: dict[str, str]) -> str:
    """What a part printed."""
    with tempfile.TemporaryFile("w+") as output:
        try:
            subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=PART_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            output.write(f"stopped after {PART_SECONDS} s")
        output.seek(0)
        return output.read()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/gpu/compile_ahead.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--capability", default="9.0", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: .gpu-kernels")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--only", help="only the parts whose names begin so")
    parser.add_argument("--shares", type=int, default=16, help="of the suite; default: %(default)s")
    options = parser.parse_args()
    common = {
        **os.environ,
        "TINYGRAD_MNIST_CUDA_COMPILE_FOR": options.capability,
        "TINYGRAD_MNIST_CUDA_CACHE": str(options.folder.resolve()),
        "TINYGRAD_MNIST_DEVICE": "cuda",
        "NUMBA_ENABLE_CUDASIM": "0",
        "PYTHONSAFEPATH": "1",  # the installed package, not the clone's folder
    }
    chosen = {
        name: (command, {**common, **own})
        for name, (command, own) in parts(options.shares).items()
        if name.startswith(options.only or "")
    }
    broken: set[str] = set()
    with ThreadPoolExecutor(options.jobs) as pool:
        outputs = {name: pool.submit(run, *part) for name, part in chosen.items()}
        for name, output in outputs.items():
            text = output.result()
            broken |= set(FAILED.findall(text))
            print(
                f"{name}: {text.strip().splitlines()[-1] if text.strip() else 'done'}", flush=True
            )
    n = len(list((options.folder / "code").glob("*")))
    print(f"{options.folder} has the machine code of {n} designs", *sorted(broken), sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
