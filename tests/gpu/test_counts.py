"""Counts of real kernels, and the tables of a step's."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import backends, cli, config
from tinygrad_mnist.cli import profile as command
from tinygrad_mnist.profiling.counts import CountProfile, counting
from tinygrad_mnist.profiling.counts_table import show_counts, tables, worst_lines

pytestmark = pytest.mark.ptx
M, N, K = 10, 12, 64


def small_function() -> Any:
    """A product whose rows are added up, and exponentials that wait for neither."""
    w = theano.shared(np.ones((K, N), np.float32), "w")
    data = theano.shared(np.ones((5 * M, K), np.float32), "data")
    i = T.lscalar("i")
    x = data[i * M : (i + 1) * M]
    return theano.function([i], [T.dot(x, w).sum(axis=0), T.exp(x)])


def smaller_function() -> Any:
    """One kernel, which compiles fast."""
    data = theano.shared(np.ones((5 * M, K), np.float32), "data")
    i = T.lscalar("i")
    return theano.function([i], T.exp(data[i * M : (i + 1) * M]))


@pytest.fixture(scope="module")
def counted() -> CountProfile:
    config.device = "ptx"
    before = backends.BACKENDS.get("ptx")
    with counting((9, 0)) as counts:
        step = small_function()
        found = counts.profile(lambda: step(0))
        twice = counts.profile(lambda: step.sweep(range(2)))
    assert before is None or backends.BACKENDS["ptx"] is before
    assert [one.counts.by_class for one in twice.launches] == [
        one.counts.by_class for one in found.launches
    ]
    return found


def test_a_product(counted: CountProfile) -> None:
    """Its multiply-adds and its memory, each at least once, and not much more often."""
    [one] = [one for one in counted.launches if one.kernel == "gemm"]
    assert one.code.spilled == 0
    assert not one.counts.is_sampled
    multiply_adds = M * N * K
    assert multiply_adds <= 32 * one.counts.by_class["fma"] <= 8 * multiply_adds
    assert one.counts.by_class["double"] == 0
    nbytes = 4 * (M * K + K * N)
    loads, stores = one.counts.total("global", "ld"), one.counts.total("global", "st")
    assert nbytes <= 32 * one.counts.fetched <= 32 * loads.units
    assert 32 * stores.units >= M * N * 4
    assert one.roofline_seconds is not None
    assert 0 < one.roofline_seconds < one.estimate.seconds
    assert 8 < one.code.registers <= 255
    assert one.held.blocks > 0
    lines = {a.instruction.location.file for a in one.counts.accesses if a.instruction.location}
    assert any("gemm" in file for file in lines)


def test_the_longest_chain(counted: CountProfile) -> None:
    """The product, its sum, and the launch that ends a step."""
    assert [one.number for one in counted.launches] == [0, 1, 2, None]
    of = {one.kernel: one.estimate.seconds for one in counted.launches}
    assert counted.seconds == pytest.approx(sum(of.values()))
    n, seconds = counted.longest_chain
    assert n == 3
    assert seconds == pytest.approx(of["gemm"] + of["reduce"] + of["advance"])


def test_the_tables(counted: CountProfile) -> None:
    for _, head, rows in tables(counted):
        assert len(rows) == len(counted.launches)
        assert {len(row) for row in rows} == {len(head)}
        kernels = {row[1] for row in rows}
        assert kernels == {"gemm", "reduce", "elementwise", "advance"}
    for width in (40, 80, 120):
        text = show_counts(counted, width)
        lines = text.splitlines()
        first = lines.index("instructions of warps")
        last = next(k for k, line in enumerate(lines) if line.startswith("a step, as estimated"))
        assert max(map(len, lines[first:last])) <= width
    assert "and not measured" in lines[0]
    assert "sampled" not in text
    for space in ("global", "shared"):
        worst = worst_lines(counted, space)
        assert [one.excess for one in worst] == sorted((w.excess for w in worst), reverse=True)
        assert all(one.units > one.least for one in worst)


def test_what_is_sampled_says_so(counted: CountProfile) -> None:
    one = next(one for one in counted.launches if one.counts.n_blocks > 1)
    sampled = replace(one, counts=replace(one.counts, counted=1))
    text = show_counts(replace(counted, launches=(sampled, *counted.launches[1:])))
    assert f"{one.kernel} *" in text
    n = one.counts.n_blocks
    assert f"sampled, and scaled up: blocks of {one.number} {one.kernel} 1 of {n}" in text
    requests = one.counts.total("global").requests
    assert sampled.counts.total("global").requests == n * requests


def test_functions_of_several_plans_are_refused() -> None:
    config.device = "ptx"
    with counting((9, 0)) as counts:
        x = T.vector("x")
        double = theano.function([x], x + x)
        with pytest.raises(ValueError, match="2 plans run here"):
            counts.profile(lambda: [double(np.ones(n, np.float32)) for n in (3, 4)])
        with pytest.raises(ValueError, match="0 plans run here"):
            counts.profile(lambda: None)
    with pytest.raises(ValueError, match=r"no GPU of compute capability 6\.1"), counting((6, 1)):
        pass


# --- the command --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "gpu"), [([], "H100"), (["--arch", "sm_75"], "T4"), (["--arch", "sm_80"], "A100")]
)
def test_the_command(
    arch: list[str], gpu: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a small function in place of a book's net, which would take long to compile."""
    monkeypatch.delenv("COLUMNS", raising=False)
    network = SimpleNamespace(training_function=lambda data, eta, lmbda: smaller_function())
    book = SimpleNamespace(network=network, recipe=SimpleNamespace(eta=0.1, lmbda=0.1))
    monkeypatch.setattr(command, "book_net", lambda *_, **__: book)
    arguments = ["profile", "--device", "ptx", *arch, "--data", "digits", "--batch", "2"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].endswith(
        f"times are estimated, for NVIDIA's {gpu}, and not measured"
    )
    for words in ("instr   active", "sectors   at best", "occupied   limit", "roofline us"):
        assert words in out
    assert out.count("elementwise") >= 3
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arch", "sm_61"], "--arch sm_61 isn't known; there are sm_75, sm_80, sm_90"),
        (["--trace", "trace.json"], "--trace is for times"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["profile", "--device", "ptx", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
