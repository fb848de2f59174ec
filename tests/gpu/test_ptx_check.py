"""`check` on the device `ptx`: values, and what else is wrong, with and without errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from tinygrad_mnist.kernels.core.call import FACTORIES, Call, Launch, Launches, factory, grid_1d

from tinygrad_mnist import cli
from tinygrad_mnist.checking import check_call, check_kernel
from tinygrad_mnist.checking.problems import BUILDERS, DEFAULTS, Problem
from tinygrad_mnist.cli import check
from tinygrad_mnist.contracts import CONTRACTS, Array, ArraySpec, Contract, Params
from tinygrad_mnist.contracts.core.base import register

pytestmark = pytest.mark.ptx

NAME, N = "mirrored", 64
RIGHT, NO_BARRIER, OUTSIDE, UNSORTED = range(4)  # what is wrong with it


def _reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [inputs[0][::-1]]


def _mirrored(call: Call) -> Launches:
    """One block: its threads exchange the values in shared memory."""
    from tinygrad_mnist.kernels.core.device import TYPES, cuda, shared_array, uint32, uint64

    dtype, at, store = TYPES[call.inputs[0].dtype], call.at[0], call.stores[0]
    error = call.params["error"]
    barrier, further = error != NO_BARRIER, int(error == OUTSIDE)
    last = N - 1 if error != UNSORTED else 0

    def body(p: Any) -> None:
        values = shared_array(N, dtype)
        t = uint32(cuda.threadIdx.x)
        values[uint64(t)] = p[0][uint64(at(uint32(t + uint32(further))))]
        if barrier:
            cuda.syncthreads()
        store(values[uint64(uint32(uint32(last) - t) if last else t)], t, p)

    return Launches((Launch(body, grid_1d(1, N)),))


@pytest.fixture(autouse=True)
def _mirrored_is_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    register(Contract(NAME, _reference, lambda *_: 0, ints=("error",), base=False))
    factory(NAME)(_mirrored)
    monkeypatch.setattr(check, "KERNELS", (NAME,))
    monkeypatch.setitem(DEFAULTS, NAME, {"shape": (N,), "axis": (RIGHT,)})
    monkeypatch.setitem(
        BUILDERS,
        NAME,
        lambda make: Problem(
            [make.values((N,))],
            [ArraySpec(make.request.dtype, (N,))],
            {"error": make.request.axis[0]},
        ),
    )
    yield
    del CONTRACTS[NAME], FACTORIES[NAME]


@pytest.mark.parametrize(
    ("error", "is_exact", "faults"),
    [
        (RIGHT, True, []),
        (NO_BARRIER, True, ["race"]),
        (OUTSIDE, False, ["outside"]),
        (UNSORTED, False, []),
    ],
)
def test_a_call(error: int, is_exact: bool, faults: list[str]) -> None:
    x = np.random.default_rng(0).random(N, np.float32)
    found = check_call(NAME, [x], [ArraySpec("float32", (N,))], {"error": error})
    assert [e.passes for e in found.errors] == [is_exact]
    assert [text.partition(":")[0] for text in found.faults] == faults
    assert found.passes == (is_exact and not faults)
    assert all(__file__ in text for text in found.faults)  # the line


@pytest.mark.parametrize(
    ("error", "verdict", "last"),
    [
        (RIGHT, "ok", "1 result, all right"),
        (NO_BARRIER, "FAULT", "1 result, values right, 1 fault"),
        (OUTSIDE, "WRONG", "1 result, 1 wrong, 1 fault"),
        (UNSORTED, "WRONG", "1 result, 1 wrong"),
    ],
)
def test_the_command(
    error: int,
    verdict: str,
    last: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert cli.main(["check", NAME, "--device", "ptx", "--axis", str(error)]) == (error != RIGHT)
    _, row, *faults, end = capsys.readouterr().out.splitlines()
    assert verdict in row.split()
    assert end == last
    assert [line.startswith("  ") for line in faults] == [True] * (error in (NO_BARRIER, OUTSIDE))


def test_a_kernel_of_the_package() -> None:
    for layout in ("contiguous", "gaps"):
        [found] = check_kernel("cumsum", device="ptx", shape=(6, 40), layout=layout)
        assert found.passes
        assert found.faults == ()
