"""Files that `tf.io` reads: packed in every way, damaged, too large, and none."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tinygrad_mnist import tf
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.limits import limits
from tinygrad_mnist.tf.io import read_bytes

DATA = bytes(range(256)) * 9000 + b"end"  # more than two parts
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "GZIP": gzip.compress,
    "ZLIB": zlib.compress,
}


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, len(DATA)])
@pytest.mark.parametrize("packing", PACK)
def test_contents_are_whole(tmp_path: Path, packing: str, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACK[packing](DATA[:size]))
    assert read_bytes(path, packing) == DATA[:size]


def test_several_gzip_members(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    assert read_bytes(path, "GZIP") == b"onetwo"


@pytest.mark.parametrize("packing", ["GZIP", "ZLIB"])
def test_cut_and_changed_files(tmp_path: Path, packing: str) -> None:
    path, packed = tmp_path / "file", PACK[packing](DATA)
    for length in (*range(1, 20), len(packed) // 2, len(packed) - 9, len(packed) - 1):
        path.write_bytes(packed[:length])
        with pytest.raises(ArgumentError, match=f"file: no whole {packing} file"):
            read_bytes(path, packing)
    for content in (b"text", packed[:-4] + bytes(4), b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(ArgumentError, match=f"file: no whole {packing} file"):
            read_bytes(path, packing)


@pytest.mark.parametrize("packing", PACK)
def test_small_files_that_become_large(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "unpacked_bytes", 1 << 20)
    path = tmp_path / "file"
    path.write_bytes(PACK[packing](bytes(64 << 20)))
    with pytest.raises(ArgumentError, match="file: more than 1,048,576 bytes, the limit"):
        read_bytes(path, packing)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="folder"):
        tf.io.read_file(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a file") as caught:
        tf.io.read_file(str(tmp_path / "pipe"))
    assert caught.value.filename == str(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a file"):
        tf.io.read_file(os.devnull)
