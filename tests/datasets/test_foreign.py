"""Files that are something else, damaged or incomplete are named for what they are."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import pickle
import random
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.mnist_layouts import PACK, check, idx, original, table, write_four

from tinygrad_mnist.datasets import (
    DatasetError,
    DatasetNotFoundError,
    load_digits,
    load_mnist,
    save_splits,
)

DATA = original(12, 4)
HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"contents")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train-images-idx3-ubyte"))
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, DATA.images)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, weights=np.zeros(3), bias=np.zeros(3))
    return file.getvalue()


FOREIGN: dict[str, tuple[bytes, str]] = {
    "html": (HTML, "a web page (HTML)"),
    "html without doctype": (b"\n  <html lang='en'><body>x</body></html>", "a web page (HTML)"),
    "html after a comment": (b"<!-- saved -->\n<HTML><BODY>x</BODY></HTML>", "a web page (HTML)"),
    "html with bom": (b"\xef\xbb\xbf" + HTML, "a web page (HTML)"),
    "error of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied', "an XML document"),
    "json": (b'{"message": "Not Found"}', "JSON text"),
    "empty": (b"", "an empty file"),
    "doubly gzipped": (gzip.compress(gzip.compress(idx(DATA.images))), "doubly gzipped"),
    "bzip2 in gzip": (gzip.compress(bz2.compress(idx(DATA.images))), "packed twice"),
    "zip": (zipped("train.csv", "test.csv"), "a zip archive of train.csv, test.csv"),
    "pytorch": (zipped("archive/data.pkl", "archive/data/0"), "a PyTorch file"),
    "npz": (npz(), "an .npz file"),
    "npy": (npy(), "a NumPy array (.npy)"),
    "tar": (tarred(), "a tar archive"),
    "tar.gz": (gzip.compress(tarred()), "a tar archive"),
    "html.gz": (gzip.compress(HTML), "a web page (HTML)"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "matlab": (b"MATLAB 5.0 MAT-file" + b" " * 200, "a MATLAB file"),
    "parquet": (b"PAR1" + bytes(100), "a Parquet file"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG image"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    "arff": (
        b"% Author: Y. LeCun, C. Cortes\n%\n@RELATION mnist_784\n@ATTRIBUTE pixel1 real\n",
        "an ARFF file",
    ),
    "text": (b"Not found\n", "text that begins with 'Not found'"),
    "sentence": (b"Sorry, the file is gone\n", "text that begins with 'Sorry, the file is gone'"),
    "zeros": (bytes(5000), "a file of zeros"),
    "csv": (b"PassengerId,Survived,Pclass\n1,0,3\n", "a CSV file"),
}


def message(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        load_mnist(path)
    return str(caught.value)


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize(
    "name", ["download", "mnist.pkl.gz", "mnist.npz", "train-images-idx3-ubyte.gz", "mnist.csv"]
)
def test_a_foreign_file(tmp_path: Path, kind: str, name: str) -> None:
    """Whatever its name: what it is, and what can be read instead."""
    data, words = FOREIGN[kind]
    (tmp_path / name).write_bytes(data)
    text = message(tmp_path / name)
    assert text.startswith(f"{tmp_path / name}: ")
    assert words in text
    assert "unpack it once" in text or "what can be read: " in text or "save_splits" in text


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("role", NAMES)
@pytest.mark.parametrize("given", ["folder", "file", "parent"])
def test_a_foreign_file_in_the_place_of_one_of_four(
    tmp_path: Path, kind: str, role: str, given: str
) -> None:
    data, words = FOREIGN[kind]
    raw = write_four(tmp_path / "MNIST" / "raw", DATA)
    (raw / role).write_bytes(data)
    text = message({"folder": raw, "file": raw / role, "parent": tmp_path}[given])
    assert text.startswith(f"{raw / role}: ")
    assert words in text


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["download.bin", "mnist.npz", "mnist.pkl.gz", "train.csv"])
def test_a_folder_with_only_a_foreign_file(tmp_path: Path, kind: str, name: str) -> None:
    data, words = FOREIGN[kind]
    (tmp_path / name).write_bytes(data)
    text = message(tmp_path)
    assert name in text
    assert words in text


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1 :]


DAMAGE = {
    "cut": cut,
    "flipped": flipped,
    "empty": lambda data: b"",
    "html": lambda data: HTML,
    "header only": lambda data: data[:12],
    "doubly gzipped": gzip.compress,
    "cut before it was packed": lambda data: gzip.compress(cut(gzip.decompress(data))),
    "zip": lambda data: zipped("x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("role", NAMES)
@pytest.mark.parametrize("given", ["folder", "parent", "damaged", "whole"])
def test_a_damaged_file_beside_a_whole_one_is_passed_over(
    tmp_path: Path, damage: str, role: str, given: str
) -> None:
    raw = write_four(tmp_path / "MNIST" / "raw", DATA)
    write_four(raw, DATA, packing=".gz")
    bad = raw / f"{role}.gz"
    bad.write_bytes(DAMAGE[damage](bad.read_bytes()))
    path = {"folder": raw, "parent": tmp_path, "damaged": bad, "whole": raw / role}[given]
    if given == "whole":  # it is what was asked for, so the other isn't read
        check(load_mnist(path), DATA)
        return
    with pytest.warns(UserWarning, match="is used instead") as caught:
        check(load_mnist(path), DATA)
    (warning,) = (str(item.message) for item in caught)
    assert str(bad) in warning
    assert f"{raw / role} is used instead" in warning
    (raw / role).unlink()
    assert message(path).startswith(f"{bad}: ")


def test_a_damaged_plain_file_beside_a_whole_packed_one(tmp_path: Path) -> None:
    write_four(tmp_path, DATA)
    write_four(tmp_path, DATA, packing=".gz")
    bad = tmp_path / NAMES[0]
    bad.write_bytes(cut(bad.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(load_mnist(tmp_path), DATA)
    with pytest.warns(UserWarning, match="promises"):
        check(load_mnist(bad), DATA)


def test_a_damaged_set_beside_a_whole_one(tmp_path: Path) -> None:
    write_four(tmp_path, DATA, packing=".gz")
    bad = tmp_path / "t10k-labels-idx1-ubyte.gz"
    bad.write_bytes(cut(bad.read_bytes()))
    np.savez(
        tmp_path / "mnist.npz",
        x_train=DATA.images,
        y_train=DATA.labels,
        x_test=DATA.test_images,
        y_test=DATA.test_labels,
    )
    with pytest.warns(UserWarning, match=r"truncated or damaged.*mnist\.npz is used instead"):
        check(load_mnist(tmp_path), DATA)


@pytest.mark.parametrize("missing", NAMES)
@pytest.mark.parametrize("nested", ["", "MNIST/raw"])
def test_an_incomplete_set(tmp_path: Path, missing: str, nested: str) -> None:
    raw = write_four(tmp_path / nested, DATA)
    (raw / missing).unlink()
    (raw / "notes.txt").write_text("Downloaded on Monday")
    with pytest.raises(DatasetNotFoundError) as caught:
        load_mnist(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{raw}: no file {missing} (.gz or plain) beside ")
    assert all(name in text for name in NAMES)
    assert "notes.txt is text that begins with 'Downloaded on Monday'" in text


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("given", ["folder", "file"])
def test_a_foreign_file_in_an_incomplete_set(tmp_path: Path, kind: str, given: str) -> None:
    """The only file of four is named for what it is, even where the others are missing."""
    data, words = FOREIGN[kind]
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(data)
    text = message(tmp_path if given == "folder" else path)
    assert path.name in text
    assert words in text


@pytest.mark.parametrize("missing", NAMES)
def test_an_incomplete_set_above_a_whole_one_is_said(tmp_path: Path, missing: str) -> None:
    (write_four(tmp_path, original(8, 4, seed=5)) / missing).unlink()
    write_four(tmp_path / "MNIST" / "raw", DATA)
    with pytest.warns(UserWarning, match=f"passed over: .*: no file {missing}") as caught:
        check(load_mnist(tmp_path), DATA)
    assert len(caught) == 1


@pytest.mark.parametrize("missing", NAMES)
def test_another_set_does_not_take_the_place_of_an_incomplete_one(
    tmp_path: Path, missing: str
) -> None:
    (write_four(tmp_path / "MNIST" / "raw", DATA) / missing).unlink()
    write_four(tmp_path / "FashionMNIST" / "raw", DATA)
    with pytest.raises(DatasetNotFoundError, match=f"no file {missing}"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("family", ["kmnist", "emnist-letters", "qmnist"])
def test_an_incomplete_set_of_another_family(tmp_path: Path, family: str) -> None:
    write_four(tmp_path, DATA, f"{family}-{{part}}-{{kind}}-idx{{n}}-ubyte", test="test")
    (tmp_path / f"{family}-test-labels-idx1-ubyte").unlink()
    assert message(tmp_path).startswith(f"{tmp_path}: no file {family}-t10k-labels-idx1-ubyte")


def test_a_folder_without_data_lists_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(HTML)
    (tmp_path / "archive.zip").write_bytes(zipped("train.csv"))
    (tmp_path / "pictures").mkdir()
    for k in range(20):
        (tmp_path / "pictures" / f"{k:02}.png").write_bytes(b"\x89PNG")
    text = message(tmp_path)
    assert "page.html is a web page (HTML)" in text
    assert "archive.zip is a zip archive of train.csv" in text
    assert f"{Path('pictures', '00.png')} is a PNG image" in text
    assert "and 14 more" in text
    assert "what can be read: " in text


@pytest.mark.parametrize("layout", ["idx", "npz", "csv"])
@pytest.mark.parametrize("size", [(27, 28), (32, 32), (14, 14), (8, 8)])
@pytest.mark.parametrize("part", ["train", "test"])
def test_images_of_another_size(
    tmp_path: Path, layout: str, size: tuple[int, int], part: str
) -> None:
    wrong = np.zeros((len(DATA.images if part == "train" else DATA.test_images), *size), "u1")
    data = DATA._replace(**{"images" if part == "train" else "test_images": wrong})
    if layout == "idx":
        path = write_four(tmp_path, data)
    elif layout == "npz":
        path = tmp_path / "mnist.npz"
        np.savez(path, **dict(zip(("x_train", "y_train", "x_test", "y_test"), data, strict=True)))
    else:
        path = tmp_path / f"mnist_{part}.csv"
        path.write_text(table(wrong, DATA.labels if part == "train" else DATA.test_labels))
    text = message(path)
    if layout == "csv":
        assert f"{size[0] * size[1] + 1} columns" in text
    else:
        assert f"images of {size[0]} x {size[1]} pixels, not 28 x 28" in text


@pytest.mark.parametrize("layout", ["idx", "npz", "csv"])
@pytest.mark.parametrize("label", [10, 26, 255])
def test_labels_out_of_range(tmp_path: Path, layout: str, label: int) -> None:
    labels = DATA.labels.copy()
    labels[7] = label
    data = DATA._replace(labels=labels)
    if layout == "idx":
        path = write_four(tmp_path, data)
    elif layout == "npz":
        path = tmp_path / "mnist.npz"
        np.savez(path, **dict(zip(("x_train", "y_train", "x_test", "y_test"), data, strict=True)))
    else:
        path = tmp_path / "mnist.csv"
        path.write_text(table(data.images, labels))
    assert f"label {label} at index 7 is not in 0..9 (1 such label)" in message(path)


@pytest.mark.parametrize("layout", ["idx", "npz"])
@pytest.mark.parametrize("part", ["labels", "test_labels"])
def test_counts_that_differ(tmp_path: Path, layout: str, part: str) -> None:
    data = DATA._replace(**{part: getattr(DATA, part)[:-1]})
    if layout == "idx":
        path = write_four(tmp_path, data)
    else:
        path = tmp_path / "mnist.npz"
        np.savez(path, **dict(zip(("x_train", "y_train", "x_test", "y_test"), data, strict=True)))
    count = len(getattr(DATA, part))
    text = message(path)
    assert f"holds {count} images, but " in text
    assert f"holds {count - 1} labels" in text


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (DATA.images / 255, DATA.labels, "not a whole number from 0 to 255; the images seem to be"),
        (DATA.images.astype("i4") + 1, DATA.labels, "a pixel that is 256, not a whole number"),
        (DATA.images.astype("f4") * np.nan, DATA.labels, "image 0 has a pixel that is nan"),
        (DATA.images, np.eye(10, dtype="u1")[DATA.labels], "one column per class"),
        (DATA.images, DATA.labels + 0.5, "is not an integer"),
        (DATA.images, DATA.labels.astype(str), "labels are not integers (n,)"),
        (DATA.images.astype(str), DATA.labels, "images are <U3 of shape"),
        (DATA.images, np.array(3), "labels are not integers (n,)"),
        (np.array(3), DATA.labels, "images are int64 of shape ()"),
        (np.zeros((12, 32, 32, 3), "u1"), DATA.labels, "images of 32 x 32 x 3 pixels"),
    ],
)
def test_arrays_of_something_else(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, words: str
) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    text = message(tmp_path / "mnist.npz")
    assert text.startswith(f"{tmp_path / 'mnist.npz'}, ")
    assert words in text


def test_npz_with_objects_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1 / 0",)

    objects = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "mnist.npz", x_train=objects, y_train=objects, x_test=objects, y_test=1)
    assert "allow_pickle" in message(tmp_path / "mnist.npz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "a CSV file of something else: 2 columns (a, b), not a label and 784"),
        ("1,2\n3,4\n", "a CSV file of something else: 2 columns (1, 2), not a label and 784"),
        (table(DATA.images, DATA.labels)[:-900], "not a table of numbers"),
        (table(DATA.images, DATA.labels).replace(",", ",x", 1), "not a table of numbers|CSV file"),
        (
            table(DATA.images, DATA.labels, ["label", *map(str, range(784))]).split("\n")[0],
            "without",
        ),
        (table(DATA.images * 0.5, DATA.labels), "not a whole number from 0 to 255"),
        (table(DATA.images, DATA.labels + np.uint8(20)), r"is not in 0..9"),
        (table(DATA.images.astype("i4") * 2, DATA.labels), "not a whole number from 0 to 255"),
    ],
)
@pytest.mark.parametrize("packing", ["", ".gz"])
def test_tables_of_something_else(tmp_path: Path, text: str, words: str, packing: str) -> None:
    path = tmp_path / f"data.csv{packing}"
    path.write_bytes(PACK[packing](text.encode()))
    found = message(path)
    assert found.startswith(f"{path}: ")
    assert any(word in found for word in words.split("|"))


def test_pickles_keep_their_own_errors(tmp_path: Path) -> None:
    (tmp_path / "mnist.pkl").write_bytes(pickle.dumps([1, 2], protocol=0))
    assert "not three pairs" in message(tmp_path / "mnist.pkl")


def write_all(folder: Path) -> list[Path]:
    """A folder for each kind of file."""
    for packing in PACK:
        write_four(folder / f"idx{packing}", DATA, packing=packing)
    for name in ("npz", "kmnist", "csv", "pickle"):
        (folder / name).mkdir()
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), DATA, strict=True))
    np.savez_compressed(folder / "npz" / "mnist.npz", **arrays)
    for part, images, labels in (("train", *DATA[:2]), ("test", *DATA[2:])):
        np.savez_compressed(folder / "kmnist" / f"kmnist-{part}-imgs.npz", images)
        np.savez(folder / "kmnist" / f"kmnist-{part}-labels.npz", labels)
        (folder / "csv" / f"{part}.csv").write_text(table(images, labels))
    save_splits(folder / "pickle" / "mnist.pkl.gz", load_digits(0, 10, 2, 2))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def damaged(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return rng.choice(
        [
            data[:at],
            data[:at] + rng.randbytes(1) + data[at + 1 :],
            data[:at] + data[at + rng.randrange(60) :],
            data[: at % 64] + rng.randbytes(3) + data[at % 64 + 3 :],
            data[: at % 64] + rng.randbytes(at % 40),
        ]
    )


@pytest.mark.filterwarnings("ignore:passed over")
@pytest.mark.parametrize("seed", range(10))
def test_damage_anywhere_gives_data_or_an_error_of_the_file(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    files = write_all(tmp_path)
    for _ in range(40):
        path = rng.choice(files)
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, rng))
        for given in (path, path.parent):
            with contextlib.suppress(DatasetError):
                assert len(load_mnist(given)) == 3
        path.write_bytes(whole)


@pytest.mark.parametrize("flag", [0x01, 0x00])
def test_archives_of_other_kinds(tmp_path: Path, flag: int) -> None:
    """An encrypted array, and one packed by an unknown method."""
    path = tmp_path / "mnist.npz"
    np.savez(path, **dict(zip(("x_train", "y_train", "x_test", "y_test"), DATA, strict=True)))
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    if flag:
        data[6] |= flag
        data[central + 8] |= flag
    else:
        data[8] = data[central + 10] = 97
    path.write_bytes(data)
    assert "damaged, or not a data set that save_splits wrote" in message(path)
