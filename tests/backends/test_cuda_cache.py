"""Machine code on disk: kept whole, damaged entries found, the oldest removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinygrad_mnist.backends.cuda.cache import (
    DamagedEntryError,
    cache_folder,
    prune,
    read_entry,
    source_folder,
    write_entry,
    write_whole,
)
from tinygrad_mnist.backends.cuda.code import kernel_names

FACTS = {"kernels": [{"name": "f"}, {"name": "g"}], "workspace_bytes": 12}
PIECES = (b"first \n cubin", bytes(range(256)))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CACHE", str(tmp_path))
    return tmp_path / "code"


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path
    monkeypatch.delenv("TINYGRAD_MNIST_CUDA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder().parts[-2:] == ("tinygrad_mnist", "cuda")


def test_an_entry_comes_back_as_it_was(folder: Path) -> None:
    assert read_entry("gemm-1") is None
    write_entry("gemm-1", FACTS, PIECES)
    assert read_entry("gemm-1") == (FACTS, PIECES)
    assert [path.name for path in folder.iterdir()] == ["gemm-1"]


def test_an_entry_may_be_empty() -> None:
    write_entry("none", {"kernels": []}, ())
    assert read_entry("none") == ({"kernels": []}, ())


def test_every_cut_and_every_changed_byte_is_noticed(folder: Path) -> None:
    write_entry("k", {"n": 1}, (b"code",))
    path = folder / "k"
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(DamagedEntryError, match="k"):
            read_entry("k")
    for n in range(len(whole)):
        path.write_bytes(whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :])
        with pytest.raises(DamagedEntryError, match="k"):
            read_entry("k")
    write_entry("k", {"n": 1}, (b"code",))
    assert read_entry("k") == ({"n": 1}, (b"code",))


def test_what_was_not_used_for_longest_is_removed(folder: Path) -> None:
    for n in range(10):
        write_entry(f"k{n}", {}, (bytes(1000),))
        os.utime(folder / f"k{n}", (1e9 + n, 1e9 + n))
    size = (folder / "k0").stat().st_size
    prune(10 * size)
    assert len(list(folder.iterdir())) == 10
    assert read_entry("k0") is not None  # used now, so k1 is the oldest
    prune(8 * size)
    assert {path.name for path in folder.iterdir()} == {"k0", "k5", "k6", "k7", "k8", "k9"}


def test_sources_are_bounded_too(folder: Path) -> None:
    sources = source_folder()
    for n in range(4):
        write_whole(sources / f"s{n}.py", bytes(100))
        os.utime(sources / f"s{n}.py", (1e9 + n, 1e9 + n))
    (sources / "__pycache__").mkdir()
    write_entry("k", {}, ())
    prune(limit_of_sources=399)
    assert {p.name for p in sources.iterdir()} == {"s2.py", "s3.py", "__pycache__"}
    assert [p.name for p in folder.iterdir()] == ["k"]


def test_kernels_are_known_without_importing_them() -> None:
    assert "elementwise" in kernel_names()
