"""The native module fits the package, or the error says how to rebuild it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends import cpu
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Contract


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    cpu.native_kernels.cache_clear()
    yield
    cpu.native_kernels.cache_clear()


@pytest.mark.parametrize("names", ["_KERNELS", "_OPCODES"])
def test_a_stale_module_says_what_it_lacks_and_how_to_rebuild(
    names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, names, getattr(cpu, names) | {"cumulate"})
    monkeypatch.setattr(theano.config, "device", "cpu")
    x = T.vector("x")
    with pytest.raises(ImportError, match=r"older.* lacks cumulate\. Rebuild it: pip install"):
        theano.function([x], x + 1)([1, 2])


def test_a_contract_from_outside_needs_no_native_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = Contract("cumulate", lambda *_: [], lambda *_: 0)
    monkeypatch.setitem(CONTRACTS, "cumulate", outside)
    monkeypatch.setattr(theano.config, "device", "cpu")
    x = T.vector("x")
    assert theano.function([x], x + 1)([1, 2]).tolist() == [2, 3]


def test_a_module_that_is_not_built_is_one_sentence_with_the_command() -> None:
    program = "import sys; sys.modules['tinygrad_mnist._native'] = None; import tinygrad_mnist"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: tinygrad_mnist's native module is not beside its sources")
    assert "pip install -e ." in last
