from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.legacy_pickle import Build, Call, Global, legacy_dumps

import tinygrad_mnist.datasets.pickles as reader
from tinygrad_mnist.datasets import DatasetError, DatasetNotFoundError, load_mnist, read_pickle

RNG = np.random.default_rng(0)
SIZES = (7, 3, 2)
IMAGES = [RNG.integers(0, 256, (n, 784)).astype(np.float32) / np.float32(256) for n in SIZES]
LABELS = [RNG.integers(0, 10, n) for n in SIZES]
BOOK = tuple(zip(IMAGES, LABELS, strict=True))


def write(folder: Path, data: bytes, packed: bool = True) -> Path:
    path = folder / ("data.pkl.gz" if packed else "data.pkl")
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


def check(path: Path) -> None:
    parts = load_mnist(path)
    for part, images, labels in zip(parts, IMAGES, LABELS, strict=True):
        np.testing.assert_array_equal(part.images, images)
        np.testing.assert_array_equal(part.labels, labels)
        assert (part.images.dtype, part.labels.dtype) == (np.float32, np.int64)
        assert part.images.flags.writeable
        assert part.images.flags.c_contiguous


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_the_books_file(tmp_path: Path, core: str, packed: bool) -> None:
    check(write(tmp_path, legacy_dumps(BOOK, core), packed))


def test_the_books_expanded_file(tmp_path: Path) -> None:
    lists = [list(IMAGES[0]), list(LABELS[0])]
    check(write(tmp_path, legacy_dumps((lists, *BOOK[1:]))))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_files_of_python_3(tmp_path: Path, protocol: int) -> None:
    check(write(tmp_path, pickle.dumps(BOOK, protocol)))
    lists: Any = [(list(images), [int(v) for v in labels]) for images, labels in BOOK]
    check(write(tmp_path, pickle.dumps(lists, protocol)))


def test_other_dtypes_and_orders_of_the_same_values(tmp_path: Path) -> None:
    parts = (
        (np.asfortranarray(IMAGES[0]), LABELS[0].astype(np.uint8)),
        (IMAGES[1].astype(">f8"), LABELS[1].astype(">i4")),
        (IMAGES[2], LABELS[2].astype(np.int32)),
    )
    check(write(tmp_path, legacy_dumps(parts)))


MARK = "left-by-the-pickle"
FORBIDDEN = {
    "posix.system": Call(Global("posix", "system"), f"touch {MARK}".encode()),
    "__builtin__.eval": Call(Global("__builtin__", "eval"), b"1 + 1"),
    "builtins.getattr": Call(Global("builtins", "getattr"), Global("numpy", "ndarray"), b"x"),
    "numpy.load": Call(Global("numpy", "load"), b"x"),
    "numpy.core.multiarray.fromfile": Call(Global("numpy.core.multiarray", "fromfile"), b"x"),
    "subprocess.Popen": Call(Global("subprocess", "Popen"), b"touch"),
    "copy_reg._reconstructor": Call(Global("copy_reg", "_reconstructor"), 1),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_names_are_refused_and_nothing_runs(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, legacy_dumps((FORBIDDEN[name], *BOOK)))
    with pytest.raises(DatasetError, match="refused") as e:
        read_pickle(path)
    assert str(path) in str(e.value)
    assert f"asks for {name};" in str(e.value)
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_reducing_object_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return eval, ("__import__('os').mkdir('trap')",)

    path = write(tmp_path, pickle.dumps((Trap(), *BOOK), protocol))
    with pytest.raises(
        DatasetError, match=r"refused, since it asks for (builtins|__builtin__)\.eval;"
    ):
        read_pickle(path)


def dtype(code: bytes) -> Build:
    return Build(Call(Global("numpy", "dtype"), code, 0, 1), (3, b"<", None, None, None, -1, -1, 0))


def array(state: tuple[Any, ...]) -> Build:
    name = Global("numpy.core.multiarray", "_reconstruct")
    return Build(Call(name, Global("numpy", "ndarray"), (0,), b"b"), state)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (array((1, (2,), dtype(b"O8"), False, [1, 2])), "dtype 'O8'"),
        (array((1, (2**30, 2**30), dtype(b"f4"), False, b"1234")), "4 bytes for an array of shape"),
        (array((1, (-1,), dtype(b"f4"), False, b"1234")), r"shape \(-1,\)"),
        (array((1, (1,), None, False, b"1234")), "without bytes or dtype"),
        (Call(Global("numpy", "ndarray"), (2**20,)), r"calls numpy\.ndarray"),
        (Call(Global("_codecs", "encode"), b"x", b"rot13"), "encodes something else"),
        (Build(Global("numpy", "dtype"), {b"x": 1}), "changes a global"),
        (Build([], {b"x": 1}), "not a pickle of a data set"),
    ],
)
def test_allowed_names_can_not_be_misused(tmp_path: Path, item: Any, message: str) -> None:
    path = write(tmp_path, legacy_dumps((item, *BOOK)))
    with pytest.raises(DatasetError, match=message) as e:
        read_pickle(path)
    assert str(path) in str(e.value)
    assert "x" not in vars(reader)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (BOOK[:2], "not three pairs"),
        ((BOOK[0], BOOK[1], IMAGES[2]), "test part: not a pair"),
        ((BOOK[0], (IMAGES[1], LABELS[1][:2]), BOOK[2]), "validation part: 3 images, but 2 labels"),
        (
            ((IMAGES[0][:, :9], LABELS[0]), *BOOK[1:]),
            r"training part: images are an array of shape",
        ),
        (((IMAGES[0].astype("u1"), LABELS[0]), *BOOK[1:]), r"not a floating-point array"),
        (((list(IMAGES[0][:, :9]), list(LABELS[0])), *BOOK[1:]), "image 0 is not 784"),
        (((IMAGES[0], LABELS[0] * 1.0), *BOOK[1:]), "not integers"),
        (((IMAGES[0], [b"5"] * 7), *BOOK[1:]), "a label is bytes, not an integer"),
        (((IMAGES[0], LABELS[0] * 0 - 1), *BOOK[1:]), r"label -1 at index 0 is not in 0\.\.9"),
    ],
)
def test_wrong_contents(tmp_path: Path, contents: Any, message: str) -> None:
    path = write(tmp_path, legacy_dumps(contents))
    with pytest.raises(DatasetError, match=message) as e:
        read_pickle(path)
    assert str(e.value).startswith(str(path))


def test_damaged_files(tmp_path: Path) -> None:
    path = write(tmp_path, legacy_dumps(BOOK))
    whole = path.read_bytes()
    for data in (whole[:-20], whole[: len(whole) // 2], gzip.compress(legacy_dumps(BOOK)[:-9])):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"truncated or damaged|not a pickle") as e:
            read_pickle(path)
        assert str(path) in str(e.value)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DatasetError, match="not a pickle of a data set"):
        read_pickle(path)
    with pytest.raises(DatasetNotFoundError, match="no such file"):
        read_pickle(tmp_path / "absent.pkl.gz")
