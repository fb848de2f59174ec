"""Files of models that are none, or describe more than they have."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinygrad_mnist.errors import ArgumentError, SavedFileError
from tinygrad_mnist.keras.models import load_model
from tinygrad_mnist.network3 import Network
from tinygrad_mnist.network3.checkpoint import curves_in
from tinygrad_mnist.plots.records import curves_of
from tinygrad_mnist.saving import load_arrays

READERS: list[Callable[[Path], Any]] = [load_arrays, load_model, Network.load, curves_in]


def saved(header: Any, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def keras(*layers: Any) -> bytes:
    described = {
        "format": "tinygrad_mnist.keras",
        "version": 1,
        "model": {"class_name": "Sequential", "config": {"name": "s", "layers": layers}},
        "weights": [],
        "compile": None,
    }
    return saved({"__metadata__": {"tinygrad_mnist": json.dumps(described)}})


def network3(*layers: Any) -> bytes:
    described = {"format": "network3", "version": 1, "mini_batch_size": 10, "layers": layers}
    return saved({"__metadata__": {"tinygrad_mnist": json.dumps(described)}})


def refused(read: Callable[[Path], Any], path: Path) -> None:
    with pytest.raises(SavedFileError) as caught:
        read(path)
    text = str(caught.value)
    assert path.name in text
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.skipif(os.name != "posix", reason="such files are POSIX's")
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "sparse", "missing"])
def test_what_is_no_file(tmp_path: Path, read: Callable[[Path], Any], kind: str) -> None:
    path = tmp_path / "net"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "sparse":
        path.write_bytes(
            saved({"a": {"dtype": "U8", "shape": [1 << 40], "data_offsets": [0, 1 << 40]}})
        )
        os.truncate(path, path.stat().st_size + (1 << 40))
    refused(read, path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "\x1b[31m", "shape": [1], "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": [1] * 70, "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": [2**63], "data_offsets": [0, 1]},
        {"dtype": "BF16", "shape": [1], "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": [2**32, 2**32], "data_offsets": [0, 1]},
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_wrong_headers(tmp_path: Path, read: Callable[[Path], Any], entry: Any) -> None:
    (tmp_path / "net").write_bytes(saved({"a": entry}, b"x"))
    refused(read, tmp_path / "net")


def layer(name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": name, "config": config}


@pytest.mark.parametrize(
    "described",
    [
        layer("Dense", units=10**6, input_shape=[784]),
        layer("Dense", units=10**12, input_shape=[784]),
        layer("Dense", units=2**70, input_shape=[784]),
        layer("Conv2D", filters=10**5, kernel_size=[100, 100], input_shape=[128, 128, 1]),
        layer("\x1b[31m"),
        layer("Dense", units="\x1b[31m"),
        layer("Dense", units=float("nan")),
        [1],
        5,
    ],
)
def test_keras_layers_with_more_weights_than_the_file(tmp_path: Path, described: Any) -> None:
    (tmp_path / "net").write_bytes(keras(described))
    refused(load_model, tmp_path / "net")


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_in": 10**6, "n_out": 10**6},
        {"n_in": -(10**6), "n_out": 10**6},
        {"n_in": "a", "n_out": -1},
        {"n_in": 1e300, "n_out": 1e300},
        {"n_in": 0, "n_out": 0, "\x1b": 1},
        {},
    ],
)
def test_layers_of_network3_with_more_weights_than_the_file(tmp_path: Path, arguments: Any) -> None:
    (tmp_path / "net").write_bytes(
        network3({"class": "FullyConnectedLayer", "arguments": arguments, "params": []})
    )
    refused(Network.load, tmp_path / "net")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe,epoch", b"epoch," + b"a" * 200_000 + b"\n1,2\n", b"", b"\x1b,1\n"]
)
def test_runs_that_are_no_tables(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.csv").write_bytes(content)
    with pytest.raises(ArgumentError, match=r"run\.csv"):
        curves_of(tmp_path / "run.csv")
