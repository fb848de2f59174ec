"""Find and read the data set in a folder or its subfolders, or in one file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tinygrad_mnist.datasets import naming
from tinygrad_mnist.datasets.contents import (
    READABLE,
    array_names,
    delimiter,
    describe_file,
    foreign,
    read_start,
    refuse,
)
from tinygrad_mnist.datasets.idx import is_idx
from tinygrad_mnist.datasets.layouts import (
    ROLES,
    DataSet,
    Files,
    Incomplete,
    data_sets,
    entries,
    first_whole,
    four_files,
    named_files,
    read_tables,
    set_of_file,
)
from tinygrad_mnist.datasets.npz import read_npz
from tinygrad_mnist.datasets.pickles import read_pickle
from tinygrad_mnist.datasets.splits import (
    DatasetError,
    DatasetNotFoundError,
    Splits,
    as_path,
)

_DEPTH = 4  # levels of subfolders: downloads/data/torchvision/MNIST/raw
_FOLDERS = 500  # looked into, at most
_LISTED = 100  # files that are looked at for a message
_SHOWN = 8  # entries of a folder that a message lists


class Search(NamedTuple):
    """What a search found.

    wanted: the data sets, at the nearest level that has any, the preferred ones first.
    others: data sets of another kind, passed on the way. incomplete: what is no whole data set.
    """

    wanted: list[DataSet]
    others: list[DataSet]
    incomplete: list[Incomplete]


def _levels(folder: Path, enter: Callable[[str], bool]) -> Iterator[list[Path]]:
    """The folder, then its subfolders, then theirs, and so on."""
    level, left = [folder], _FOLDERS
    for _ in range(_DEPTH + 1):
        yield level
        below = [entry for parent in level for entry in entries(parent) if entry.is_dir()]
        level = [Path(entry) for entry in below[:left] if enter(entry.name)]
        left -= len(below[:left])


def search(
    folder: Path,
    wanted: Callable[[str], bool],
    enter: Callable[[str], bool] = lambda name: True,
) -> Search:
    """The data sets in a folder or, where it has none that is wanted, in its subfolders.

    wanted: whether a data set is, by the folders below `folder` and by its files' names.
    enter: into which subfolders to look, by name.

    Where there is no complete one, the four files may also be in several subfolders, such as
    train/ and test/.
    """
    result = Search([], [], [])
    everything: Files = {}

    def is_wanted(item: DataSet | Incomplete) -> bool:
        below = Path(os.path.relpath(item.path, folder)).parts
        return wanted(" ".join((*below, item.names)))

    for level in _levels(folder, enter):
        for place in level:
            complete, incomplete = data_sets(place)
            for item in complete:
                (result.wanted if is_wanted(item) else result.others).append(item)
            result.incomplete.extend(
                item if is_wanted(item) else item._replace(fault=False) for item in incomplete
            )
            for family, roles in named_files(place).items():
                for role, paths in roles.items():
                    everything.setdefault(family, {}).setdefault(role, []).extend(paths)
        if result.wanted:
            return result
    for family, roles in everything.items():
        spread = [item for item in four_files(folder, family, roles)[0] if is_wanted(item)]
        if spread and not result.others:
            return Search([replace(item, path=folder) for item in spread], [], [])
    return result


def read_folder(folder: Path) -> Splits:
    """The data set in a folder or its subfolders, in any layout that docs/data.md lists.

    MNIST's own names come before those of other sets, and the nearest folder first. Without a
    validation part in the files, the last sixth of the training images (rounded down) becomes
    one: 50,000 and 10,000 of MNIST's 60,000 images, in the files' order.

    Raises DatasetNotFoundError when files are missing, DatasetError when one can't be trusted or
    when there are several sets to choose from; each message names the file or folder.
    """
    folder = as_path(folder)
    result = search(folder, lambda names: not naming.OTHER_SETS.search(names))
    sets = result.wanted or result.others
    if not result.wanted and (not sets or any(item.fault for item in result.incomplete)):
        raise DatasetNotFoundError(_nothing_in(folder, result.incomplete))
    if not result.wanted and len({item.family or str(item.path.parent) for item in sets}) > 1:
        choices = ", ".join(str(item.path) for item in sets[:_SHOWN])
        raise DatasetError(f"{folder}: several data sets; name one by one of its files: {choices}")
    for item in result.incomplete:
        if item.fault:
            warnings.warn(
                f"passed over: {item.path}: {item.problem}; {sets[0]} is used", stacklevel=2
            )
    return first_whole(sets, lambda item: item.load())


def _nothing_in(folder: Path, incomplete: list[Incomplete]) -> str:
    """The message that there is no data set in a folder: what is missing, and what is there."""
    parts = [item for item in incomplete if item.path.is_dir()]
    problem = "; ".join(f"{item.path}: {item.problem}" for item in parts)
    problem = problem or f"{folder}: no file {' or '.join(ROLES.values())} (.gz or plain)"
    seen = [f"{item.path.name} is {item.problem}" for item in incomplete if item not in parts]
    seen += other_files(folder, {item.path for item in incomplete})
    more = f" and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else ""
    there = f"; not a data set: {', '.join(seen[:_SHOWN])}{more}" if seen else ""
    return f"{problem}{there}; {READABLE}"


def other_files(folder: Path, known: Collection[Path]) -> list[str]:
    """What each file in a folder and its subfolders is, but for the `known` ones, for messages."""
    return [
        f"{path.relative_to(folder)} is {describe_file(path)}"
        for level in _levels(folder, lambda name: True)
        for place in level
        for path in map(Path, entries(place))
        if path.is_file() and path not in known and naming.parse(path.name) is None
    ][:_LISTED]


def read_file(path: Path) -> Splits:
    """The data set of which `path` is a file, or the whole.

    A file of several, such as train-images-idx3-ubyte.gz or mnist_train.csv, stands for the set
    with the files beside it.

    Raises DatasetError, naming the file and saying what it is, when it is none of those that can
    be read.
    """
    whole = set_of_file(path)
    if whole is not None:
        return whole.load()
    start = read_start(path)
    name = naming.parse(path.name)
    is_role = name is not None and name.kind != naming.TABLE
    arrays = array_names(path)
    if is_idx(start) or (is_role and arrays and len(arrays) == 1):
        kind = "IDX" if is_idx(start) else ".npz"
        raise DatasetError(
            f"{path}: one {kind} file of four; name the folder that holds them; beside it are"
            f" not all of {', '.join(ROLES.values())}"
        )
    if path.suffix == ".npz" or arrays:
        return read_npz(path)
    if foreign(start) or is_role:
        refuse(path, "a data set")
    if delimiter(start):
        return read_tables(name.family if name else "", [path], [])
    return read_pickle(path)
