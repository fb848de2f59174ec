"""The tests of this folder on a GPU under NVIDIA's compute-sanitizer.

python tests/gpu/sanitize.py                        memcheck, racecheck, synccheck, initcheck
python tests/gpu/sanitize.py racecheck              one tool
python tests/gpu/sanitize.py memcheck -k gemm       with a choice of tests, as pytest's -k

memcheck finds accesses outside of memory, racecheck shared memory that threads of a block touch
without a barrier in between, synccheck barriers that not all of them reach, initcheck reads of
device memory that nothing has written. Each tool runs the suite once, after a run without any that
compiles the kernels; what is named "large", a whole training and interrupts are left out: under the
tools kernels take some fifty times as long. Needs a GPU, and compute-sanitizer of the CUDA toolkit.

Exit status: 0 where no tool found anything and all tests passed, 1 where one did or failed, 2 where
something is missing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
OPTIONS = {
    # Blocks of memory lie apart, so that a step beyond shows; errors of the driver's calls raise
    # exceptions anyway, and tests provoke some.
    "memcheck": ["--padding", "256", "--report-api-errors", "no"],
    "racecheck": ["--racecheck-report", "all"],
}
CHOICE = "not large and not whole_training and not ctrl_c and not 1000 and not profile"
FOUND = 86  # exit status of the sanitizer where it found something
SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)[^\n]*")


def find_tool() -> str | None:
    """On the PATH, under CUDA_HOME or CUDA_PATH, in NVIDIA's packages, or in the usual place."""
    if found := shutil.which("compute-sanitizer"):
        return found
    homes = [os.environ.get(n) for n in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    for home in filter(None, homes):
        for place in ("bin", "extras/compute-sanitizer", "compute-sanitizer"):
            if found := shutil.which("compute-sanitizer", path=str(Path(home) / place)):
                return found
    try:
        from cuda import pathfinder

        packaged: str | None = pathfinder.find_nvidia_binary_utility("compute-sanitizer")
    except Exception:  # an older pathfinder, or none, knows no such tool
        return None
    return packaged


def what_is_missing(tool: str | None) -> str | None:
    """One sentence, or None where all is there."""
    from tinygrad_mnist.backends.cuda.availability import refusal

    if problem := refusal():
        return problem
    if tool is None:
        return (
            "compute-sanitizer is nowhere: it comes with NVIDIA's CUDA toolkit; put its folder on"
            " the PATH, or the toolkit's into CUDA_HOME"
        )
    return None


def report(log: str, status: int, tests: str) -> tuple[bool, str]:
    """Whether a tool's run is clean, and a line that says so.

    log: the tool's. status: of the command. tests: pytest's last line.
    """
    summaries = SUMMARY.findall(log)
    found = sum(map(int, summaries))
    if not summaries:
        return False, f"no summary, exit status {status}; {tests}"
    clean = found == 0 and status == 0
    findings = "nothing found" if found == 0 else f"{found} found"
    return clean, f"{findings}, exit status {status}; {tests}"


def run(command: Sequence[str]) -> tuple[int, str]:
    """The exit status and the last line of what pytest prints, which is passed on."""
    # The installed package, not the clone's folder, which has no compiled module.
    environment = {**os.environ, "TINYGRAD_MNIST_GPU_TESTS": "gpu", "PYTHONSAFEPATH": "1"}
    environment.pop("NUMBA_ENABLE_CUDASIM", None)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return process.returncode, last


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/gpu/sanitize.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tools", nargs="*", metavar="tool", help=", ".join(TOOLS))
    parser.add_argument("-k", default=CHOICE, help="which tests; default: %(default)s")
    parser.add_argument("--find", action="store_true", help="only print where the tool is")
    parser.add_argument("--logs", type=Path, help="folder for the tools' whole reports")
    options = parser.parse_args()
    tools = options.tools or TOOLS
    if unknown := [t for t in tools if t not in TOOLS]:
        parser.error(f"no tool {unknown[0]!r}: {', '.join(TOOLS)}")
    tool = find_tool()
    if options.find:
        print(tool or "compute-sanitizer is nowhere")
        return 0 if tool else 2
    if missing := what_is_missing(tool):
        print(f"sanitize: {missing}", file=sys.stderr)
        return 2
    assert tool is not None
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu"]
    pytest += ["-k", options.k]
    print("== without a tool", flush=True)
    status, tests = run(pytest)
    lines, clean = [f"without a tool: exit status {status}; {tests}"], status == 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in tools:
            print(f"== {name}", flush=True)
            log, begin = folder / f"{name}.log", time.monotonic()
            command = [tool, "--tool", name, *OPTIONS.get(name, ())]
            command += ["--target-processes", "application-only", "--error-exitcode", str(FOUND)]
            status, tests = run([*command, "--log-file", str(log), *pytest])
            text = log.read_text(errors="replace") if log.exists() else ""
            is_clean, line = report(text, status, tests)
            if not is_clean:
                print(text[:4000], flush=True)
            lines.append(f"{name}: {line} ({time.monotonic() - begin:.0f} s)")
            clean = clean and is_clean
    print("== summary", *lines, sep="\n")
    return 0 if clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
