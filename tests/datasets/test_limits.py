"""Small files that ask for much, files that are none, and names for a terminal."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.mnist_layouts import original, write_four

from tinygrad_mnist.datasets import DatasetError, load_mnist
from tinygrad_mnist.datasets.photos import read_image
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.limits import Limits, limits

IMAGES = "train-images-idx3-ubyte"
DATA = original(12, 4)


@pytest.fixture
def small() -> Iterator[None]:
    """Limits that a file of a few bytes passes."""
    before = {name: getattr(limits, name) for name in Limits.__slots__}
    limits.unpacked_bytes, limits.array_bytes, limits.line_bytes = 1 << 20, 1 << 19, 1 << 13
    yield
    for name, value in before.items():
        setattr(limits, name, value)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_mnist(path)
    text = str(caught.value)
    assert str(path) in text
    assert all(word in text for word in words), text
    assert all(c.isprintable() or c == "\n" for c in text)
    assert len(text) < 2000


def pack(kind: str, data: bytes) -> bytes:
    return {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[kind](data)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
def test_packed_data_that_become_large(tmp_path: Path, kind: str) -> None:
    header = struct.pack(">4B3I", 0, 0, 8, 3, 12, 28, 28)
    raw = write_four(tmp_path, DATA)
    (raw / IMAGES).write_bytes(pack(kind, header + bytes(3 << 20)))
    refused(raw / IMAGES, "unpacking", "`unpacked_bytes`")


@pytest.mark.parametrize("shape", [(1 << 31, 28, 28), (2**32 - 1,) * 3, (2**32 - 1, 1, 1)])
def test_headers_that_promise_much(tmp_path: Path, shape: tuple[int, ...]) -> None:
    raw = write_four(tmp_path, DATA)
    (raw / IMAGES).write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *shape) + bytes(100))
    refused(raw / IMAGES, "promises", "`array_bytes`")


def npz(**arrays: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(shape: str, data: bytes = b"", descr: str = "'|u1'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode("latin-1")
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "member",
    [
        npy("(3000000000,)"),
        npy("(99999999999999999999, 28, 28)"),
        npy("(-1, 28, 28)"),
        npy("(8, 28, 28)", bytes(8 * 784 + 1)),
        npy("(1.5,)"),
        npy("(" * 200 + ")" * 200),
        npy("(8,)", bytes(8), "'\x1b[31m'"),
        npy("(8,)", b"", "'V2000000000'"),
        npy("(8,)", bytes(64), "'|O'"),
        b"\x93NUMPY\2\0\xff\xff\xff\xff",
        b"\x93NUMPY\x09\0",
        b"",
    ],
)
def test_arrays_that_promise_something_else(tmp_path: Path, member: bytes) -> None:
    (tmp_path / "mnist.npz").write_bytes(
        npz(x_train=member, y_train=member, x_test=member, y_test=member)
    )
    refused(tmp_path / "mnist.npz", "mnist.npz")


@pytest.mark.usefixtures("small")
def test_large_arrays_and_tables(tmp_path: Path) -> None:
    many = np.zeros((700, 784), np.uint8)
    np.savez_compressed(
        tmp_path / "mnist.npz",
        **{"x_train": many, "y_train": many[:, 0], "x_test": many, "y_test": many[:, 0]},
    )
    refused(tmp_path / "mnist.npz", "`array_bytes`")
    row = ",".join(["1"] * 785) + "\n"
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(row.encode() * 700))
    refused(tmp_path / "rows.csv.gz", "`unpacked_bytes`")
    (tmp_path / "line.csv").write_text(row + "1," * 9000)
    refused(tmp_path / "line.csv", "`line_bytes`")


@pytest.mark.parametrize("number", [1, 4095, 4096, 4097, 5000])
@pytest.mark.parametrize("cells", [784, 786])
def test_rows_of_another_length(number: int, cells: int, tmp_path: Path) -> None:
    """Also where a block of rows begins, which are read together."""
    rows = [",".join(["1"] * 785)] * 5001
    rows[number] = ",".join(["1"] * cells)
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    with pytest.raises(DatasetError, match=r"rows\.csv"):
        load_mnist(tmp_path / "rows.csv")


HUGE: dict[str, bytes] = {
    **{
        f"{name} of {n}": b"\x80\x05" + code + struct.pack(form, n)
        for name, code, form in (
            ("bytes", b"B", "<I"),
            ("text", b"X", "<I"),
            ("bytes8", b"\x8e", "<Q"),
            ("text8", b"\x8d", "<Q"),
            ("bytearray", b"\x96", "<Q"),
        )
        for n in (2**31 + 7, 2**32 - 1, *((2**40, 2**62, 2**64 - 1) if form == "<Q" else ()))
    },
    "long": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1),
    "negative long": b"\x80\x02\x8b" + struct.pack("<i", -1),
    "negative string": b"T" + struct.pack("<i", -1),
    "digits": b"L" + b"9" * 100_000 + b"L\n.",
    "memo": b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".",
    "memo in text": b"Np99999999999999999999\n.",
    "absent memo": b"g1\n.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.",
    "marks": b"(" * 100_000,
    "nesting": b"(l" * 50_000 + b"a" * 50_000 + b".",
    "name": b"c" + b"a" * 100_000 + b"\nb\n.",
    "escapes in a name": b"c\x1b[31m\nx\x07\n.",
    "dtype": b"cnumpy\ndtype\n(S'" + b"f" * 100_000 + b"'\nI0\nI1\ntR.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent": b"Pabc\n.",
    "set": b"\x80\x04\x8f.",
    "object": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "stack": b"N0.",
    "below a mark": b"N(0.",
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("packed", [False, True])
def test_hostile_pickles(tmp_path: Path, name: str, packed: bool) -> None:
    path = tmp_path / "mnist.pkl"
    path.write_bytes(gzip.compress(HUGE[name]) if packed else HUGE[name])
    refused(path, "mnist.pkl")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "repeated", [b"]", b")0", b"N0", b"\x8e" + struct.pack("<Q", 500) + bytes(500)]
)
def test_pickles_of_many_values(tmp_path: Path, repeated: bytes) -> None:
    (tmp_path / "mnist.pkl").write_bytes(repeated * 40_000 + b".")
    refused(tmp_path / "mnist.pkl", "`unpacked_bytes`")


def outcome(path: Path) -> str:
    """The error, or the file's name where there is none."""
    try:
        load_mnist(path)
    except DatasetError as error:
        return str(error)
    return path.name


def test_every_cut_of_small_files(tmp_path: Path) -> None:
    """Data, or an error that names the file."""
    pair = (np.zeros((1, 784), np.float32), np.zeros(1, np.int64))
    files = {
        "mnist.pkl": pickle.dumps((pair, pair, pair), 2).replace(bytes(3136), bytes(3136)),
        "x.csv": (",".join(["1"] * 785) + "\n").encode(),
    }
    for name, whole in files.items():
        step = max(len(whole) // 150, 1)
        for cut in range(0, len(whole), step):
            (tmp_path / name).write_bytes(whole[:cut])
            assert name in outcome(tmp_path / name)


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((3, 1), int),
        np.zeros(3, complex),
        np.array(["1"] * 3),
        np.array([b"1"] * 3),
        np.zeros((3, 10)),
        np.array(3),
        np.zeros(3, "M8[s]"),
        np.zeros(3, "i4,f4"),
        np.full(3, np.nan),
        np.full(3, 2**64 - 1, np.uint64),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
@pytest.mark.parametrize("layout", ["npz", "pickle"])
def test_labels_of_other_kinds(tmp_path: Path, labels: Any, layout: str) -> None:
    pixels = np.zeros((3, 784), np.float32)
    if layout == "npz":
        arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels, "y_test": labels}
        np.savez(tmp_path / "mnist.npz", **arrays)
    else:
        (tmp_path / "mnist.pkl").write_bytes(pickle.dumps(((pixels, labels),) * 3))
    (path,) = tmp_path.iterdir()
    refused(path, path.name)


@pytest.mark.parametrize("layout", ["idx", "npz", "pickle"])
def test_an_empty_set_says_so(tmp_path: Path, layout: str) -> None:
    images, labels = np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8)
    if layout == "idx":
        write_four(tmp_path, DATA._replace(images=images, labels=labels))
    elif layout == "npz":
        arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
        np.savez(tmp_path / "mnist.npz", **arrays)
    else:
        pair = (images.reshape(0, 784).astype("f4"), labels)
        (tmp_path / "mnist.pkl").write_bytes(pickle.dumps((pair, pair, pair)))
    with pytest.raises(DatasetError, match="an empty set"):
        load_mnist(tmp_path)


# --- what is no file ------------------------------------------------------------------------------

SPECIAL: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.skipif(os.name != "posix", reason="such files are POSIX's")
@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", ["data", "mnist.pkl.gz", "mnist.npz", "train.csv", IMAGES])
def test_pipes_and_devices_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    SPECIAL[kind](tmp_path / name)
    refused(tmp_path / name, f"it is {kind}, not a file")
    with pytest.raises(DatasetError, match="not a file"):
        read_image(tmp_path / name)
    with pytest.raises(DatasetError):
        load_mnist(tmp_path)  # passes it over


@pytest.mark.parametrize("name", ["", "a\0b", "a" * 5000, "a\udc80", "\x1b[31m"])
def test_names_of_no_file(name: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_mnist(name)
    assert str(caught.value).isprintable()


def test_names_and_contents_for_a_terminal(tmp_path: Path) -> None:
    for content in (b"text \x1b]0;x\x07", "\u202ebidi".encode(), "c1 \x9b31m".encode()):
        path = tmp_path / "a\x1b[2Jb.txt"
        path.write_bytes(content)
        for given in (path, tmp_path):
            with pytest.raises(DatasetError) as caught:
                load_mnist(given)
            assert str(caught.value).isprintable()


# --- the limits themselves ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", None, True])
def test_wrong_limits(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"limits\.array_bytes"):
        limits.array_bytes = value
    with pytest.raises(AttributeError, match="array_bytes"):
        limits.other = 1  # type: ignore[attr-defined]


BOMB = """
import re, sys
from pathlib import Path
from tinygrad_mnist.datasets import DatasetError, load_mnist

def peak():  # of this process alone; `getrusage` has that of its parent in it
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

before = peak()
for path in sys.argv[1:]:
    try:
        load_mnist(path)
    except DatasetError as error:
        assert path.rpartition("/")[2] in str(error)
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is Linux's")
def test_memory_stays_bounded(tmp_path: Path) -> None:
    """Gzip files of 3 MB, which hold 3 GB, and pickles that ask for terabytes."""
    zeros = gzip.compress(bytes(1 << 26), 9) * 48
    heads = {
        "idx": struct.pack(">4B3I", 0, 0, 8, 3, (3 << 30) // 784, 28, 28),
        "zeros": b"",
        "pickle": b"\x80\x04\x8e" + struct.pack("<Q", 3 << 30),
        "web": b"<html>",
    }
    paths = []
    for name, head in heads.items():
        paths.append(tmp_path / name / (IMAGES if name == "idx" else "mnist.pkl.gz"))
        if name == "idx":
            write_four(paths[-1].parent, DATA)
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_bytes(gzip.compress(head) + (zeros if name != "web" else b""))
    command = [sys.executable, "-c", BOMB, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 300  # MiB
