"""Files that are written: the book's pickles for any Python and NumPy, and IDX with three parts."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist.datasets import (
    EXPANDED_PLACE,
    DatasetError,
    Pair,
    Splits,
    expand_mnist,
    load_data,
    load_mnist,
    save_idx,
    save_splits,
    write_book_pickle,
)
from tinygrad_mnist.network3 import load_data_shared


def splits() -> Splits:
    """Six, three and two images of all pixels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (11, 784)).astype(np.float32) / np.float32(256)
    labels = rng.integers(0, 10, 11)
    return Splits(*(Pair(pixels[a:b], labels[a:b]) for a, b in ((0, 6), (6, 9), (9, 11))))


def assert_same(found: Any, expected: Splits) -> None:
    for pair, wanted in zip(found, expected, strict=True):
        for array, other in zip(pair, wanted, strict=True):
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("encoding", ["ASCII", "latin1", "bytes"])
def test_any_python_reads_the_pickle(tmp_path: Path, encoding: str) -> None:
    save_splits(tmp_path / "mnist.pkl.gz", splits())
    with gzip.open(tmp_path / "mnist.pkl.gz") as file:
        assert_same(pickle.load(file, encoding=encoding), splits())
    assert_same(load_mnist(tmp_path / "mnist.pkl.gz"), splits())


def test_the_pickle_names_what_old_versions_have() -> None:
    file = io.BytesIO()
    write_book_pickle(file, splits())
    codes = list(pickletools.genops(file.getvalue()))
    assert max(code.proto for code, _, _ in codes) == 2
    assert {arg for code, arg, _ in codes if code.name == "GLOBAL"} == {
        "numpy.core.multiarray _reconstruct",
        "numpy ndarray",
        "numpy dtype",
        "_codecs encode",
    }


@pytest.mark.parametrize("dtype", ["f4", ">f8", "u1", "i8", "?", ">i2"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (3, 5)])
def test_arrays_in_pickles(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int) * 100)[::100].reshape(shape).astype(dtype)
    file = io.BytesIO()
    write_book_pickle(file, [[array, np.asfortranarray(array)]])
    ((first, second),) = pickle.loads(file.getvalue())
    for result in (first, second):
        assert result.dtype == array.dtype.newbyteorder("=")  # NumPy's reader swaps
        np.testing.assert_array_equal(result, array)


def test_idx_has_three_parts(tmp_path: Path) -> None:
    save_idx(tmp_path / "a" / "set", splits())
    assert_same(load_mnist(tmp_path / "a" / "set"), splits())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["set"]
    with pytest.raises(DatasetError, match="exists, and is no empty folder"):
        save_idx(tmp_path / "a" / "set", splits())
    (tmp_path / "a" / "set" / "validation-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetError, match="no file validation-labels-idx1-ubyte"):
        load_mnist(tmp_path / "a" / "set")
    (tmp_path / "empty").mkdir()
    save_idx(tmp_path / "empty", splits())
    assert_same(load_mnist(tmp_path / "empty"), splits())


def test_an_error_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for save, name in ((save_idx, "set"), (save_splits, "x.pkl.gz"), (save_splits, "x.npz")):
        with pytest.raises(OSError, match="No space"):
            save(tmp_path / name, splits())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_mnist")
def test_the_expanded_data_are_made_where_they_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = load_mnist()._replace(training=expand_mnist(load_mnist().training))
    for name in (EXPANDED_PLACE, Path(EXPANDED_PLACE)):
        assert_same(load_data(name), expected)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"tinygrad_mnist: there is no {EXPANDED_PLACE}; its 250 images ")
        assert err.count("\n") == 1
    training, *_ = load_data_shared(EXPANDED_PLACE)
    np.testing.assert_array_equal(training[0].get_value(), expected.training.images)
    save_splits(EXPANDED_PLACE, load_mnist())
    capsys.readouterr()
    assert_same(load_data(EXPANDED_PLACE), load_mnist())
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("small_mnist")
def test_a_program_for_theano_opens_the_expanded_data(tmp_path: Path) -> None:
    Path("program.py").write_text(
        "import gzip, pickle\n"
        f"with gzip.open('{EXPANDED_PLACE}', 'rb') as f:\n"
        "    print([len(x) for x, y in pickle.load(f, encoding='latin1')])\n"
    )
    command = [sys.executable, "-m", "tinygrad_mnist.theano", "program.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[250, 10, 20]\n"
    assert "its 250 images are made" in done.stderr
