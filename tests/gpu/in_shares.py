"""The GPU tests in shares that run in parallel: each is a process with a part of the tests.

python tests/gpu/in_shares.py 16                    on a GPU, in 16 processes
python tests/gpu/in_shares.py 16 -k gemm            with options of pytest

One process compiles one kernel after another; alone, it takes ten minutes when the cache is empty.
TINYGRAD_MNIST_GPU_TESTS chooses the mode, as for pytest; here `gpu` is the default.

Exit status: 0 if all shares passed, otherwise the greatest of pytest's.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
NO_TESTS = 5  # exit status of pytest where a share is empty
_COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed)")


def start(share: str, log: Path, options: list[str]) -> subprocess.Popen[bytes]:
    """Starts pytest for one share, which writes to `log`."""
    environment = {
        "TINYGRAD_MNIST_GPU_TESTS": "gpu",
        **os.environ,
        "TINYGRAD_MNIST_GPU_SHARE": share,
        "PYTHONSAFEPATH": "1",  # the installed package, not the clone's folder
    }
    environment["NUMBA_ENABLE_CUDASIM"] = str(int(environment["TINYGRAD_MNIST_GPU_TESTS"] == "sim"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu"]
    with log.open("wb") as file:
        return subprocess.Popen(
            [*command, *options], cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/gpu/in_shares.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shares", type=int, help="number of processes")
    parser.add_argument("--logs", type=Path, help="folder for a log of each share")
    parsed, options = parser.parse_known_args()
    if parsed.shares < 1:
        parser.error("shares must be at least 1")
    begin = time.monotonic()
    total: dict[str, int] = {}
    worst = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = parsed.logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        logs = [folder / f"share-{k:02}.log" for k in range(parsed.shares)]
        processes = [start(f"{k}/{parsed.shares}", log, options) for k, log in enumerate(logs)]
        try:
            for k, (process, log) in enumerate(zip(processes, logs, strict=True)):
                code = process.wait()
                code = 0 if code == NO_TESTS else code
                lines = log.read_text(errors="replace").splitlines()
                print(f"share {k}: exit status {code}; {lines[-1] if lines else 'no output'}")
                for n, what in _COUNTS.findall(lines[-1] if lines else ""):
                    total[what] = total.get(what, 0) + int(n)
                if code:
                    print(
                        *(line for line in lines if line.startswith(("FAILED", "ERROR"))), sep="\n"
                    )
                worst = max(worst, abs(code))
        finally:
            for process in processes:
                process.kill()
    counts = ", ".join(f"{n} {what}" for what, n in sorted(total.items())) or "no tests"
    print(f"{parsed.shares} shares: {counts} in {time.monotonic() - begin:.0f} s")
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
