"""Files of arrays: the safetensors format, whose header has a description as JSON.

The header maps each name to a dtype, a shape and a place in the file, so no code runs when a file
is read. Other programs can read the arrays too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import (
    SavedFileAccessError,
    SavedFileError,
    SavedFileNotFoundError,
)
from tinygrad_mnist.files import open_regular, write_whole
from tinygrad_mnist.limits import limits
from tinygrad_mnist.saving.foreign import foreign_format

_KEY = "tinygrad_mnist"  # of the description among the file's metadata


class Saved(NamedTuple):
    """What a file has.

    path: the file's name. arrays: by name. description: JSON data; None where the file has none, as
    files by other programs.
    """

    path: str
    arrays: dict[str, Array]
    description: Any


def save_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Array],
    description: Any = None,
    overwrite: bool = True,
) -> None:
    """Writes arrays and a description, JSON data, to one file: whole, or not at all.

    Raises FileExistsError for a file that is there if `overwrite` is false, OSError with the file's
    name if it can't be written, SavedFileError for a description that JSON doesn't have.
    """
    from safetensors.numpy import save

    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{os.fspath(path)} is there already; overwrite=True replaces it")
    metadata = None if description is None else {_KEY: _as_json(path, description)}
    # The format has elements in C order; a 0-d array would get an axis.
    plain = {n: np.ascontiguousarray(a) if a.ndim else a for n, a in arrays.items()}
    write_whole(path, save(plain, metadata))


def _as_json(path: str | os.PathLike[str], description: Any) -> str:
    import json

    try:
        return json.dumps(description)
    except (TypeError, ValueError, RecursionError) as error:
        raise SavedFileError(f"{os.fspath(path)} is not written: {error}") from None


def load_arrays(path: str | os.PathLike[str]) -> Saved:
    """Reads a file that `save_arrays` or another program has written in the safetensors format.

    Raises SavedFileError, which names the file and says what it is, if it can't be read, is
    truncated, damaged, of another format or larger than `limits` allow.
    """
    from safetensors import safe_open

    name = os.fspath(path)
    start, size = _start(name)
    found = foreign_format(start, size)
    if found is not None:
        raise SavedFileError(f"{name} is {found}; a file in the safetensors format is needed")
    if size > limits.model_bytes:
        raise SavedFileError(
            f"{name} has {size:,} bytes; the limit `model_bytes` is {limits.model_bytes:,}"
        )
    try:
        with safe_open(name, framework="numpy") as file:
            description = _description(name, (file.metadata() or {}).get(_KEY))
            names = file.keys()  # the handle itself is not iterable
            return Saved(name, {key: file.get_tensor(key) for key in names}, description)
    except SavedFileError:
        raise
    except MemoryError:
        raise SavedFileError(f"{name}: its arrays do not fit into memory") from None
    except Exception as error:  # of a hostile header, also NumPy's for its shapes
        raise SavedFileError(
            f"{name} is no whole file in the safetensors format: it is truncated, damaged or of "
            f"another format ({error})"
        ) from None


def _start(name: str) -> tuple[bytes, int]:
    """The first bytes of a file, and its size. Raises SavedFileError, also for a pipe."""
    try:
        with open_regular(name) as file:
            return file.read(16), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise SavedFileNotFoundError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise SavedFileAccessError.of(name, error) from None


def _description(name: str, text: str | None) -> Any:
    import json

    if text is None:
        return None
    if len(text) > limits.description_bytes:
        raise SavedFileError(f"{name}: the description has {len(text)} characters, too many")
    try:
        return json.loads(text)
    except ValueError as error:
        raise SavedFileError(f"{name}: the description is no JSON ({error})") from None
    except RecursionError:
        raise SavedFileError(f"{name}: the description is nested too deeply") from None
