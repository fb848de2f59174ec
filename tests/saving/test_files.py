"""Arrays and their description come back from a file; what is no such file is named."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.saving import load_arrays, save_arrays

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
ARRAYS = st.sampled_from((*DTYPES, "float32", "float64")).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), ARRAYS, max_size=4), JSON)
def test_all_comes_back(tmp_path_factory: Any, named: dict[str, Any], description: Any) -> None:
    named.pop("__metadata__", None)  # a name that the format itself uses
    path = tmp_path_factory.mktemp("saved") / "file"
    save_arrays(path, named, description)
    saved = load_arrays(path)
    assert saved.description == description
    assert saved.arrays.keys() == named.keys()
    for name, array in named.items():
        assert saved.arrays[name].dtype == array.dtype
        assert saved.arrays[name].shape == array.shape
        assert saved.arrays[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("order", ["transposed", "sliced", "reversed", "broadcast", "swapped"])
def test_arrays_that_are_not_contiguous(tmp_path: Path, order: str) -> None:
    x = np.arange(24.0).reshape(4, 6)
    array = {
        "transposed": x.T,
        "sliced": x[1:, ::2],
        "reversed": x[::-1],
        "broadcast": np.broadcast_to(x[0], (3, 6)),
        "swapped": x.astype(">f8"),
    }[order]
    save_arrays(tmp_path / "f", {"x": array})
    np.testing.assert_array_equal(load_arrays(tmp_path / "f").arrays["x"], array)


def test_a_file_is_replaced_unless_overwrite_is_false(tmp_path: Path) -> None:
    path = tmp_path / "f"
    save_arrays(path, {"x": np.zeros(2)}, 1)
    with pytest.raises(FileExistsError, match=r"f is there already; overwrite=True"):
        save_arrays(path, {}, 2, overwrite=False)
    assert load_arrays(path).description == 1
    save_arrays(path, {}, 2)
    assert load_arrays(path).description == 2


@pytest.mark.parametrize("description", [{"f": len}, {(1, 2): 3}])
def test_what_json_does_not_have(tmp_path: Path, description: Any) -> None:
    with pytest.raises(SavedFileError, match="f is not written: "):
        save_arrays(tmp_path / "f", {}, description)
    assert not os.listdir(tmp_path)


def test_a_place_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing/f"):
        save_arrays(tmp_path / "missing" / "f", {"x": np.zeros(3)})


# --- files of other kinds -------------------------------------------------------------------------


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    return file.getvalue()


def with_header(header: bytes, behind: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + behind


def described(text: str) -> bytes:
    return with_header(json.dumps({"__metadata__": {"tinygrad_mnist": text}}).encode())


WHOLE = with_header(
    json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode(), bytes(8)
)
OTHERS = {
    "empty": (b"", "is empty"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), r"is an HDF5 file, as Keras's \.h5"),
    "zip": (zipped(), r"is a zip archive, as Keras's \.keras"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(100), "is an array of NumPy"),
    "gzip": (b"\x1f\x8b\x08" + bytes(100), "is packed by gzip"),
    "html": (b"<!DOCTYPE html><html>not found</html>", "is a page of HTML"),
    "json": (b' {"class_name": "Sequential", "config": {}}', "is a text of JSON"),
    "text": (b"hello, this is a text of some length", "is in no format that is known"),
    "short": (b"\x01\x02", "is in no format that is known"),
    **{
        f"pickle {p}": (pickle.dumps({"weights": 1}, protocol=p), "is a pickle")
        for p in range(2, 6)
    },
    "huge header": (struct.pack("<Q", 1 << 60) + b"{" + bytes(100), "is truncated"),
    "header cut": (WHOLE[:20], "is truncated"),
    "bytes missing": (WHOLE[:-1], "is no whole file in the safetensors format"),
    "bytes left": (WHOLE + b"x", "is no whole file in the safetensors format"),
    "no JSON header": (with_header(b"{x}"), "is no whole file in the safetensors format"),
    "unknown dtype": (WHOLE.replace(b"F32", b"F99"), "is no whole file"),
    "broken description": (described("{"), "the description is no JSON"),
    "nested description": (described("[" * 200_000), "the description is nested too deeply"),
    "long number": (described("1" * 10_000), "the description is no JSON"),
    "long description": (described(" " * (17 << 20)), "17825792 characters, too many"),
    "nested header": (with_header(b'{"x":' + b"[" * 100_000), "is no whole file"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str) -> None:
    content, message = OTHERS[name]
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(SavedFileError, match=rf"model\.bin.* ?{message}"):
        load_arrays(path)


@pytest.mark.parametrize("cut", range(1, len(WHOLE), 7))
def test_every_truncation_is_an_error(tmp_path: Path, cut: int) -> None:
    (tmp_path / "f").write_bytes(WHOLE[:cut])
    with pytest.raises(SavedFileError, match="f is"):
        load_arrays(tmp_path / "f")


def test_a_file_without_a_description(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(WHOLE)
    saved = load_arrays(tmp_path / "f")
    assert saved.description is None
    np.testing.assert_array_equal(saved.arrays["x"], np.zeros(2, "float32"))


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_a_file_that_can_not_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=name):
        load_arrays(tmp_path / name)
