"""A plan's memory is known before it runs, and one that doesn't fit is refused untouched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.functions import memory
from tinygrad_mnist.functions.memory import SMALL, amount, free_bytes

LINE = rf"\n  made at .*{Path(__file__).name}:\d+"
HUGE = 10**6  # squared, float32: 3.64 TiB

Case = tuple[str, Callable[[Any], Any], int]

CASES: list[Case] = [
    ("an output", lambda n: T.ones((n, n)) + n, HUGE),
    ("a temporary", lambda n: T.dot(T.ones((n, n)) + n, T.ones((n, 1))), HUGE),
    ("an identity", T.eye, HUGE),
    ("draws", lambda n: T.shared_randomstreams.RandomStreams(1).normal((n, n)), HUGE),
    ("a sorted matrix", lambda n: T.sort(T.ones((n, n)) * n), HUGE),
    ("a known range", T.arange, 2**50),
    ("an inverse", lambda n: T.nlinalg.matrix_inverse(T.eye(n) * n), HUGE),
]


@pytest.mark.parametrize(("make", "value"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_too_large(device: str, make: Callable[[Any], Any], value: int) -> None:
    n = T.lscalar("n")
    function = theano.function([n], make(n))
    with pytest.raises(MemoryError, match=f"[TP]iB.*{LINE}"):
        function(value)
    assert np.asarray(function(3)).size >= 3  # and it goes on


def test_nothing_is_touched(device: str) -> None:
    """Neither a shared variable nor an output that was given before."""
    n, w = T.lscalar("n"), theano.shared(np.ones(4), "w")
    updates = [(w, w * 2 + T.sum(T.dot(T.ones((n, n)) + n, T.ones((n, 1)))))]
    function = theano.function([n], theano.Out(w * 3, borrow=True), updates=updates)
    first = function(2)
    with pytest.raises(MemoryError, match=rf"of memory, and .* free; its largest array.*{LINE}"):
        function(HUGE)
    np.testing.assert_array_equal(first, [3.0] * 4)
    np.testing.assert_array_equal(w.get_value(), [2 + 12.0] * 4)


def test_a_resized_variable(device: str) -> None:
    n, w = T.lscalar("n"), theano.shared(np.ones((2, 2)), "w")
    function = theano.function([n], updates=[(w, T.alloc(w[0, 0], n, n))])
    with pytest.raises(MemoryError, match=LINE):
        function(HUGE)
    assert w.get_value().shape == (2, 2)


def test_the_results_of_a_sweep(device: str) -> None:
    i, w = T.lscalar("i"), theano.shared(np.ones((1000, 1000)), "w")
    function = theano.function([i], w + i)
    with pytest.raises(MemoryError, match=LINE):
        function.sweep(np.arange(10**6))
    assert function.sweep(np.arange(2)).shape == (2, 1000, 1000)


def test_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for where a plan needs more than a little, and memory that the function has in
    its arena isn't asked for twice."""
    x = T.dmatrix("x")
    function = theano.function([x], T.sum(T.dot(T.dot(x, x.T), x)))
    asked: list[int] = []

    def free() -> int:
        asked.append(0)
        return SMALL + SMALL // 2

    monkeypatch.setattr(memory, "free_bytes", free)
    function(np.ones((1000, 1)))  # 8 MB
    assert not asked
    function(np.ones((3300, 1)))  # 87 MB
    assert asked
    with pytest.raises(MemoryError, match=r"takes 122 MiB of memory, and 96 MiB are free"):
        theano.function([x], T.sum(T.dot(T.dot(x, x.T), x)))(np.ones((4000, 1)))
    function(np.ones((4000, 1)))  # 128 MB, of which it has 87
    n = T.lscalar("n")
    scratch = T.sum(T.dot(T.dot(x, x.T), x))
    function = theano.function([x, n], [scratch, T.alloc(x[0, 0], n, n)])
    function(np.ones((3300, 1)), 1)  # an arena of 87 MB
    with pytest.raises(MemoryError, match="are free"):
        function(np.ones((1, 1)), 3700)  # 110 MB, for an output, which isn't in the arena


STAT = "anon 5\ninactive_file 30\nactive_file 20\nslab_reclaimable 10\n"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 1000 << 10),
        ({"memory.max": "max\n", "memory.current": "90\n", "memory.stat": STAT}, 1000 << 10),
        ({"memory.max": "100\n", "memory.current": "90\n", "memory.stat": STAT}, 70),
        ({"memory.max": "100\n", "memory.current": "190\n", "memory.stat": STAT}, 0),
        ({"memory.max": "100\n", "memory.current": "?\n", "memory.stat": STAT}, 1000 << 10),
        ({"memory.max": f"{2 << 20}\n", "memory.current": "0\n", "memory.stat": ""}, 1000 << 10),
    ],
)
def test_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], free: int
) -> None:
    """The least of what the machine and the control group leave."""
    (tmp_path / "meminfo").write_text(
        "MemTotal: 9000 kB\nMemFree: 5 kB\nMemAvailable: 600 kB\nSwapFree: 400 kB\n"
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_own_limit", lambda: None)
    assert free_bytes() == free


@pytest.mark.skipif(memory.resource is None, reason="limits are POSIX's")
def test_the_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = memory.resource.RLIM_INFINITY
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (unlimited, unlimited))
    assert memory._own_limit() is None
    assert free_bytes() is not None
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (1 << 44, unlimited))
    assert 1 << 43 < memory._own_limit() <= 1 << 44


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 MiB"),
        (2**20, "1 MiB"),
        (999 << 20, "999 MiB"),
        ((1000 << 20) - 9, "0.977 GiB"),
        (3 << 29, "1.5 GiB"),
        (2**63, "8 EiB"),
    ],
)
def test_amounts(nbytes: int, text: str) -> None:
    assert amount(nbytes) == text


PROGRAM = """
import sys
import numpy as np
import tinygrad_mnist as theano, tinygrad_mnist.tensor as T
from tinygrad_mnist.tensor.nnet import conv2d, relu
from tinygrad_mnist.tensor.signal.pool import pool_2d

def resident(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) << 10

def products(x):
    return T.sum(T.dot(T.dot(x, x.T), T.dot(x, x.T)))

def outputs(x):
    return [T.dot(x, x.T), T.exp(T.dot(x, x.T))]

def convolutions(x):
    w = theano.shared(np.ones((32, 1, 5, 5), "float32"))
    v = theano.shared(np.ones((64, 32, 5, 5), "float32"))
    z = relu(conv2d(pool_2d(relu(conv2d(x.reshape((-1, 1, 28, 28)), w)), (2, 2)), v))
    cost = T.mean(z ** 2)
    return [cost, *T.grad(cost, [w, v])]

def softmaxes(x):
    w = theano.shared(np.ones((784, 2000), "float32"))
    cost = -T.mean(T.log(T.nnet.softmax(T.dot(T.tanh(T.dot(x, w)), w.T)))[:, 0])
    return [cost, T.grad(cost, w)]

theano.config.threads = 2
name, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
x = T.fmatrix("x")
value = np.ones((rows, columns), "float32")
result = locals()[name](x)
function = theano.function([x], result)
function(value[:2])  # what every call takes
program = theano.function([x], result)
program._cache.plan_ahead(program._cache.key([value.shape]), {})
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak is counted anew
before = resident("VmRSS")
kept = program(value)
peak = resident("VmHWM") - before
plan = program._cache.plans[0]
print(peak, plan.plan.peak_bytes + plan.bare_program.workspace_bytes)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("products", 4000, 3),
        ("outputs", 4000, 3),
        ("convolutions", 1000, 784),
        ("softmaxes", 8000, 784),
    ],
)
def test_the_peak_is_as_said(name: str, rows: int, columns: int) -> None:
    """Within 10 %. A convolution reserves buffers for as many threads as there may be; those that
    no thread takes aren't touched."""
    command = [sys.executable, "-c", PROGRAM, name, str(rows), str(columns)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured, said = map(int, done.stdout.split())
    assert said > 60 << 20
    least = 0 if name == "convolutions" else 0.9 * said
    assert least < measured < 1.1 * said, (measured, said)
