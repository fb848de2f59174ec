"""Files with mistakes put into them, and what their readers make of them."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import random
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from helpers.mnist_layouts import original, table, write_four
from PIL import Image

import tinygrad_mnist as theano
from tinygrad_mnist import keras
from tinygrad_mnist.datasets import DatasetError, load_mnist
from tinygrad_mnist.datasets.photos import read_image
from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.network3 import FullyConnectedLayer, Network, SoftmaxLayer
from tinygrad_mnist.network3.checkpoint import curves_in
from tinygrad_mnist.saving import load_arrays

SLOW = 2.0  # seconds for one file
_NUMBERS = [0, 1, 127, 128, *(2**k - 1 for k in (8, 16, 31, 32, 63, 64)), 2**31, 2**32, 2**63]
_WORDS = [b"\0", b"\xff", b"-1", b"1e999", b"nan", b"null", b"[" * 50, b"{", b'"', b"\x1b[31m"]


@dataclass(frozen=True)
class Reader:
    """read: takes a path. refuses: its error. seeds: whole files of its kind. name: of the file."""

    read: Callable[[Path], Any]
    refuses: type[Exception]
    seeds: list[bytes]
    name: str


def _npz(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _images() -> list[bytes]:
    pixels = Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28))
    files = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        files.append(io.BytesIO())
        pixels.save(files[-1], kind)
    return [file.getvalue() for file in files]


def _net() -> Network:
    return Network([FullyConnectedLayer(4, 3), SoftmaxLayer(3, 2)], 2)


def _nets(folder: Path) -> list[bytes]:
    _net().save(folder / "net.safetensors")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu")])
    model.compile("adam", "mse")
    model.save(folder / "model.keras")
    return [(folder / name).read_bytes() for name in ("net.safetensors", "model.keras")]


def _checkpoint(folder: Path) -> list[bytes]:
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 4)).astype("float32"), rng.integers(0, 2, 8).astype("int32")
    data = theano.shared(x), theano.shared(y)
    path = folder / "run.checkpoint"
    with contextlib.redirect_stdout(None):
        _net().SGD(data, 2, 2, 0.1, data, data, checkpoint=path)
    return [path.read_bytes()]


def readers(folder: Path) -> dict[str, Reader]:
    """All kinds of files. folder: for whole ones, three of which stay beside the IDX file."""
    data = original(12, 4)
    write_four(folder, data)
    images, labels = (folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte")
    flat = data.images.reshape(12, 784) / np.float32(255)
    splits = ((flat, data.labels.astype("int64")),) * 3
    book = [pickle.dumps(splits, protocol) for protocol in (0, 2, 4)]
    four = {"x_train": data.images, "y_train": data.labels}
    four |= {"x_test": data.test_images, "y_test": data.test_labels}
    packed = [gzip.compress(book[1]), bz2.compress(book[1]), lzma.compress(book[1])]
    names = ["label", *(f"pixel{k}" for k in range(784))]
    tables = [table(data.images, data.labels, header).encode() for header in (names, None)]
    nets = _nets(folder)
    idx = images.read_bytes()
    return {
        "IDX images": Reader(_beside, DatasetError, [idx, gzip.compress(idx)], images.name),
        "IDX labels": Reader(_beside, DatasetError, [labels.read_bytes()], labels.name),
        "packed": Reader(load_mnist, DatasetError, packed, "mnist.pkl.gz"),
        "pickle": Reader(load_mnist, DatasetError, book, "mnist.pkl"),
        "npz": Reader(load_mnist, DatasetError, [_npz(four)], "mnist.npz"),
        "table": Reader(load_mnist, DatasetError, tables, "train.csv"),
        "image": Reader(read_image, DatasetError, _images(), "digit.png"),
        "safetensors": Reader(load_arrays, SavedFileError, nets, "net.safetensors"),
        "network3": Reader(Network.load, SavedFileError, nets[:1], "net.safetensors"),
        "keras": Reader(keras.models.load_model, SavedFileError, nets[1:], "model.keras"),
        "curves": Reader(curves_in, SavedFileError, _checkpoint(folder), "run.checkpoint"),
    }


def _beside(path: Path) -> Any:
    return load_mnist(path.parent)


def mutated(seeds: list[bytes], rng: random.Random) -> bytes:
    """A file with a mistake, or up to four."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(data) + 1)
        if rng.random() < 0.6:  # most of what decides is in the beginning
            at = min(at, int(rng.expovariate(1 / 60)))
        kind = rng.randrange(8)
        if kind == 0:
            del data[at:]
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            number = rng.choice(_NUMBERS)
            size = rng.choice([n for n in (1, 2, 4, 8) if number < 1 << 8 * n])
            data[at : at + size] = number.to_bytes(size, rng.choice(["big", "little"]))
        elif kind == 3:
            data[at:at] = rng.choice(_WORDS) * rng.choice([1, 1, 1, 100])
        elif kind == 4:
            del data[at : at + rng.randint(1, 40)]
        elif kind == 5:
            data[at:at] = rng.randbytes(rng.randint(1, 16))
        elif kind == 6:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other) + 1)
            data[at:] = other[begin:]
        else:
            end = at + rng.randint(1, 60)
            data[at:at] = data[at:end] * rng.randint(1, 3)
    return bytes(data)


def outcome(reader: Reader, path: Path) -> str:
    """`read`, `refused`, or what is wrong with the answer."""
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(path)
        result = "read"
    except reader.refuses as error:
        text = str(error)
        is_named = path.name in text or path.parent.name in text
        is_text = all(c.isprintable() or c == "\n" for c in text)
        is_good = is_named and is_text and len(text) < 4000
        result = "refused" if is_good else f"a bad message: {text[:300]!r}"
    except Exception as error:
        result = f"{type(error).__name__}: {str(error)[:200]}"
    if time.process_time() - began > SLOW:
        return f"slow, {result}"
    return result


def run(
    reader: Reader, folder: Path, first: int, count: int
) -> tuple[Counter[str], dict[str, int]]:
    """Outcomes of files with the seeds `first` and following, and for each that shouldn't be the
    first seed."""
    outcomes: Counter[str] = Counter()
    wrong: dict[str, int] = {}
    place = folder / reader.name
    whole = place.read_bytes() if place.exists() else None
    for seed in range(first, first + count):
        place.write_bytes(mutated(reader.seeds, random.Random(seed)))
        what = outcome(reader, place)
        outcomes[what if what in ("read", "refused") else "wrong"] += 1
        if what not in ("read", "refused"):
            wrong.setdefault(what, seed)
    place.unlink(missing_ok=True)
    if whole is not None:
        place.write_bytes(whole)
    return outcomes, wrong


def peak_megabytes() -> int:
    """The most memory that this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most >> (20 if sys.platform == "darwin" else 10)  # bytes there, KiB here
