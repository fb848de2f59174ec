"""The driver layer, end to end, on a stand-in for NVIDIA's driver that runs on the host."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.compile

FOLDER = Path(__file__).parent / "stand_in"
COMPILERS = ("c++", "g++", "clang++")


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the stand-in under the driver's name."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the stand-in driver needs a C++ compiler on Linux")
    spec = importlib.util.find_spec("nvidia.cu13")
    assert spec is not None  # comes with the compiler that this mode needs
    headers = [Path(p) / "include" for p in spec.submodule_search_locations or ()]
    folder = tmp_path_factory.mktemp("driver")
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    includes = [f"-I{header}" for header in headers]
    target = ["-o", str(folder / "libcuda.so.1"), str(FOLDER / "libcuda.cpp")]
    subprocess.run([compiler, *flags, *includes, *target], check=True)
    return folder


def run(stand_in: Path, cache: Path, *command: str, **environment: str) -> Any:
    """Runs Python beside the stand-in; returns the JSON of its last line."""
    variables = {
        **os.environ,
        "LD_LIBRARY_PATH": str(stand_in),
        "TINYGRAD_MNIST_CUDA_CACHE": str(cache),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "NUMBA_ENABLE_CUDASIM": "0",
        "TINYGRAD_MNIST_DEVICE": "cpu",
        **environment,
    }
    done = subprocess.run([sys.executable, *command], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def found(stand_in: Path, cache: Path) -> Any:
    """The results of stand_in/program.py."""
    return run(stand_in, cache, str(FOLDER / "program.py"))


def test_functions_compute_on_it(found: Any) -> None:
    assert found["sweeps"]["calls"] == 1
    assert found["sweeps"]["cuda"] == found["sweeps"]["cpu"]


def test_what_was_used_is_released_at_the_next_call(found: Any) -> None:
    memory = found["memory"]
    assert memory["during"][0] > memory["before"][0]
    assert memory["during"][1] > memory["before"][1]
    assert memory["kept"] == memory["during"]  # another library may be recording a graph
    assert memory["after"] == memory["before"]


def test_the_threads_own_context_comes_back(found: Any) -> None:
    assert found["contexts"] == {"left": 0}


def test_a_fork_is_told_how_to_start_instead(found: Any) -> None:
    assert found["forked"] == (
        "using the GPU failed: this process was forked from one that uses NVIDIA's driver, and"
        " can't use a GPU itself; start it with multiprocessing's method 'spawn'"
    )


def test_errors_name_what_failed(found: Any) -> None:
    errors = found["errors"]
    assert errors["memory"] == (
        "allocating 1.00 kB of the memory of Stand-in GPU 0 failed:"
        " the GPU's memory is full (CUDA_ERROR_OUT_OF_MEMORY)"
    )
    assert (
        "starting a graph failed: CUDA_ERROR_ILLEGAL_ADDRESS in cuGraphLaunch" in errors["address"]
    )
    assert errors["address"].endswith("this process can't use the GPU any more")
    assert "copying to the GPU failed: CUDA_ERROR_INVALID_VALUE" in errors["size"]
    assert (
        "adding the kernel advance to a graph failed: CUDA_ERROR_INVALID_VALUE" in errors["block"]
    )
    assert errors["pointers"] == "advance takes 0 pointers, not 1"


def test_times(found: Any) -> None:
    rates = found["rates"]
    assert rates["times"] == rates["again"] == pytest.approx([1e-3] * 3)
    assert rates["one"] == pytest.approx([1e-3])
    assert found["profiled"] == [[pytest.approx(1e-3)]] * 2


def test_peak_and_bandwidth(found: Any) -> None:
    """132 multiprocessors at 1.98 GHz with 128 lanes; 1 MiB in each of 8 milliseconds."""
    rates = found["rates"]
    assert rates["peak"] == pytest.approx([66.9e12, 33.45e12], rel=1e-3)
    assert rates["bandwidth"] == pytest.approx((1 << 20) / 1e-3)


def test_a_second_process_does_without_numba(stand_in: Path, cache: Path, found: Any) -> None:
    assert found["numba"] in (True, False)  # compiled in that process, or in workers
    again = run(stand_in, cache, str(FOLDER / "program.py"))
    assert not again["numba"]
    assert {k: v for k, v in again.items() if k != "numba"} == {
        k: v for k, v in found.items() if k != "numba"
    }


def test_a_net_trains_on_it_as_on_the_processor(stand_in: Path, cache: Path) -> None:
    """Graphs, step table, checks and copies, with kernels that the PTX machine computes."""
    found = run(stand_in, cache, str(FOLDER / "ptx_program.py"))
    assert found["errors"] == found["faults"] == []
    assert found["kernels"] >= 8
    on_gpu, on_cpu = found["cuda"], found["cpu"]
    assert len(set(on_gpu["costs"])) == 19
    np.testing.assert_allclose(on_gpu["costs"], on_cpu["costs"], rtol=1e-5)
    for found_values, wanted in zip(on_gpu["parameters"], on_cpu["parameters"], strict=True):
        error = np.linalg.norm(np.subtract(found_values, wanted)) / np.linalg.norm(wanted)
        assert error <= 1e-5
    assert on_gpu["accuracies"] == on_cpu["accuracies"]
    assert on_gpu["kept"]
    assert on_cpu["kept"]
    # On a GPU the softmax layer is one kernel, so more lines of the program are named.
    assert on_gpu["message"].startswith(on_cpu["message"])


DEVICE = """
import json
import tinygrad_mnist as theano
from tinygrad_mnist.backends import backend
message = ""
try:
    theano.config.device = "cuda"
except Exception as error:
    message = f"{type(error).__name__}: {error}"
print(json.dumps([message, backend("auto").name, backend("auto").target]))
"""


def ask(stand_in: Path, cache: Path, **environment: str) -> list[str]:
    answer: list[str] = run(stand_in, cache, "-c", DEVICE, **environment)
    return answer


def test_a_gpu_is_chosen(stand_in: Path, cache: Path) -> None:
    assert ask(stand_in, cache) == ["", "cuda", "Stand-in GPU 0"]
    chosen = ask(stand_in, cache, STAND_IN_GPUS="3", TINYGRAD_MNIST_GPU="2")
    assert chosen == ["", "cuda", "Stand-in GPU 2"]


WITHOUT_A_COMPILER = """
import json
import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T
from tinygrad_mnist.backends import backend
from tinygrad_mnist.backends.cuda import availability, code, toolkit

def lacking():
    return toolkit.Missing("packages", "the package numba is not installed", "pip install it"),

for module in (availability, code):
    module.compiler_missing = lacking
automatic = backend("auto").name
theano.config.device = "cuda"
results = []
x = T.vector("x")
for expression in (T.exp(x), T.log(x)):
    try:
        theano.function([x], expression)([1, 2, 3])
        results.append("runs")
    except Exception as error:
        results.append(f"{type(error).__name__}: {error}")
print(json.dumps([automatic, *results]))
"""
COMPILE_EXP = """
import json
import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T
theano.config.device = "cuda"
x = T.vector("x")
print(json.dumps(theano.function([x], T.exp(x))([1, 2, 3]).tolist()))
"""


def test_carried_kernels_run_without_a_compiler(stand_in: Path, tmp_path: Path) -> None:
    """Compiled where there is no GPU, run where there is no compiler."""
    carried = tmp_path / "carried"
    nothing = run(
        Path("/nowhere"), carried, "-c", COMPILE_EXP, TINYGRAD_MNIST_CUDA_COMPILE_FOR="9.0"
    )
    assert nothing == [0, 0, 0]
    environment = {"TINYGRAD_MNIST_CUDA_CODE": str(carried)}
    automatic, first, second = run(
        stand_in, tmp_path / "own", "-c", WITHOUT_A_COMPILER, **environment
    )
    assert automatic == "cuda"
    assert first == "runs"
    assert second.startswith("DeviceError: 1 kernel (elementwise) must be compiled, and the pack")
    automatic, first, _ = run(stand_in, carried, "-c", WITHOUT_A_COMPILER)
    assert (automatic, first) == ("cpu", "runs")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"STAND_IN_GPUS": "0"}, "NVIDIA's driver finds no GPU"),
        (
            {"STAND_IN_GPUS": "0", "CUDA_VISIBLE_DEVICES": "7"},
            "NVIDIA's driver finds no GPU (CUDA_VISIBLE_DEVICES is '7')",
        ),
        ({"TINYGRAD_MNIST_GPU": "1"}, "TINYGRAD_MNIST_GPU is '1'; the only GPU here is 0"),
        (
            {"TINYGRAD_MNIST_GPU": "x", "STAND_IN_GPUS": "2"},
            "TINYGRAD_MNIST_GPU is 'x'; the GPUs here are 0 to 1",
        ),
        ({"STAND_IN_OLD": "1"}, "Stand-in GPU 0 has compute capability 6.0; CUDA 13 supports 7.5"),
        (
            {"STAND_IN_VERSION": "12040"},
            "NVIDIA's driver supports CUDA 12.4, not 13.0; pip install 'tinygrad_mnist[cuda12]' in"
            " a new environment, or install NVIDIA's driver, 580 or later,",
        ),
    ],
)
def test_a_gpu_that_cant_be_used(
    stand_in: Path, cache: Path, environment: dict[str, str], message: str
) -> None:
    error, automatic, _ = ask(stand_in, cache, **environment)
    assert error.startswith("DeviceError: no GPU can be used: ")
    assert message in error
    assert automatic == "cpu"
