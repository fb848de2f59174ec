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
    writable_folder,
    write_entry,
    write_if_new,
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
    assert read_entry("gemm-1", "t") is None
    write_entry("gemm-1", "t", FACTS, PIECES)
    assert read_entry("gemm-1", "t") == (FACTS, PIECES)
    assert [path.name for path in folder.iterdir()] == ["gemm-1-t"]


def test_an_entry_may_be_empty() -> None:
    write_entry("none", "t", {"kernels": []}, ())
    assert read_entry("none", "t") == ({"kernels": []}, ())


def test_every_cut_and_every_changed_byte_is_noticed(folder: Path) -> None:
    write_entry("k", "t", {"n": 1}, (b"code",))
    path = folder / "k-t"
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(DamagedEntryError, match="k"):
            read_entry("k", "t")
    for n in range(len(whole)):
        path.write_bytes(whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :])
        with pytest.raises(DamagedEntryError, match="k"):
            read_entry("k", "t")
    write_entry("k", "t", {"n": 1}, (b"code",))
    assert read_entry("k", "t") == ({"n": 1}, (b"code",))


def test_what_was_not_used_for_longest_is_removed(folder: Path) -> None:
    for n in range(10):
        write_entry(f"k{n}", "t", {}, (bytes(1000),))
        os.utime(folder / f"k{n}-t", (1e9 + n, 1e9 + n))
    size = (folder / "k0-t").stat().st_size
    prune(10 * size)
    assert len(list(folder.iterdir())) == 10
    assert read_entry("k0", "t") is not None  # used now, so k1 is the oldest
    prune(8 * size)
    assert {path.name for path in folder.iterdir()} == {f"k{n}-t" for n in (0, 5, 6, 7, 8, 9)}


def test_sources_are_bounded_too(folder: Path) -> None:
    sources = source_folder()
    for n in range(4):
        write_if_new(sources / f"s{n}.py", bytes(100))
        os.utime(sources / f"s{n}.py", (1e9 + n, 1e9 + n))
    (sources / "__pycache__").mkdir()
    write_entry("k", "t", {}, ())
    prune(limit_of_sources=399)
    assert {p.name for p in sources.iterdir()} == {"s2.py", "s3.py", "__pycache__"}
    assert [p.name for p in folder.iterdir()] == ["k-t"]


def test_kernels_are_known_without_importing_them() -> None:
    assert "elementwise" in kernel_names()


def test_entries_are_chosen_by_tools_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a compiler the newest entry is used; one that was carried comes first."""
    for age, tools in enumerate(("old", "new")):
        write_entry("k", tools, {"of": tools}, ())
        os.utime(tmp_path / "code" / f"k-{tools}", (1e9 + age, 1e9 + age))
    assert read_entry("k", "third") is None
    assert read_entry("k", None) == ({"of": "new"}, ())
    assert read_entry("k", "old") == ({"of": "old"}, ())
    carried = tmp_path / "carried"
    with monkeypatch.context() as there:
        there.setenv("TINYGRAD_MNIST_CUDA_CACHE", str(carried))
        write_entry("k", "elsewhere", {"of": "elsewhere"}, ())
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CODE", str(carried))
    for tools in ("old", "third", None):
        assert read_entry("k", tools) == ({"of": "elsewhere"}, ())
    assert read_entry("other", None) is None


def test_a_folder_that_cant_be_written_is_replaced_and_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    wanted = file / "cache"  # below a file no folder can be made, not even by root
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CACHE", str(wanted))
    write_entry("k", "t", {"n": 1}, (b"code",))
    assert read_entry("k", "t") == ({"n": 1}, (b"code",))
    prune()
    instead = writable_folder()
    assert instead != wanted
    assert instead.is_dir()
    assert source_folder() == instead / "sources"
    assert capsys.readouterr().err == (
        f"tinygrad_mnist: compiled kernels can't be kept in {wanted} (Not a directory), so the next"
        " process compiles them again; TINYGRAD_MNIST_CUDA_CACHE names another folder\n"
    )
