"""The data sets in a folder: which files belong together, by their names, and how they are read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from numpy.typing import NDArray

from tinygrad_mnist.datasets import naming
from tinygrad_mnist.datasets.arrays import convention, image_bytes, label_numbers, labelled
from tinygrad_mnist.datasets.contents import (
    IDX_FILE,
    ZIP,
    array_names,
    describe_file,
    open_unpacked,
    read_start,
    reading,
)
from tinygrad_mnist.datasets.idx import read_images, read_labels
from tinygrad_mnist.datasets.naming import IMAGES, LABELS, TABLE, TEST, TRAIN, VALIDATION
from tinygrad_mnist.datasets.npz import is_data_set, read_array, read_npz
from tinygrad_mnist.datasets.pickles import read_pickle
from tinygrad_mnist.datasets.splits import Bytes, DatasetError, Splits, check_some, divided
from tinygrad_mnist.datasets.table import has_labels, read_table, table_problem

S = TypeVar("S")
T = TypeVar("T")
Role = tuple[str | None, str]

#: The four files of a data set, by the names that MNIST's have.
ROLES: dict[Role, str] = {
    (TRAIN, IMAGES): "train-images-idx3-ubyte",
    (TRAIN, LABELS): "train-labels-idx1-ubyte",
    (TEST, IMAGES): "t10k-images-idx3-ubyte",
    (TEST, LABELS): "t10k-labels-idx1-ubyte",
}
#: Two more files, which `save_idx` writes.
VALIDATION_ROLES: dict[Role, str] = {
    (VALIDATION, IMAGES): "validation-images-idx3-ubyte",
    (VALIDATION, LABELS): "validation-labels-idx1-ubyte",
}


#: The name of Keras's file.
KERAS = "mnist.npz"


@dataclass(frozen=True)
class DataSet:
    """A data set that was found, by names; nothing but the first bytes of its files is read yet.

    path: one of its files. family: the words before the part in its files' names.
    names: its files' names, as far as they tell what the set is.
    """

    path: Path
    family: str
    names: str
    load: Callable[[], Splits]

    def __str__(self) -> str:
        return str(self.path)


class Incomplete(NamedTuple):
    """Files that are a part of a data set, or are called like one.

    fault: whether they are MNIST's beyond doubt, and not only called train.csv, say.
    """

    path: Path
    names: str
    problem: str
    fault: bool


Files = dict[str, dict[Role, list[Path]]]


def first_whole(sources: Iterable[S], read: Callable[[S], T]) -> T:
    """`read` of the first path or data set that it can read; those before it are passed over with a
    warning.

    Raises the DatasetError of the first one if it can read none.
    """
    errors: list[DatasetError] = []
    for source in sources:
        try:
            result = read(source)
        except DatasetError as error:
            errors.append(error)
            continue
        for passed_over in errors:
            warnings.warn(f"passed over: {passed_over}; {source} is used instead", stacklevel=2)
        return result
    raise errors[0]


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, without hidden files; nothing if it can't be read."""
    try:
        with os.scandir(folder) as found:
            return sorted((e for e in found if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError:
        return []


def named_files(folder: Path) -> Files:
    """The files of a folder whose names `naming.parse` knows, by family and role.

    Some archives unpack to a folder with the file's name that holds the file; such a file counts
    as one in `folder`. Of several files for one role, gzipped ones and shorter names come first.
    """
    files: Files = {}
    for entry in entries(folder):
        name = naming.parse(entry.name, folder.name)
        if name is None:
            continue
        inner = [Path(entry)]
        if entry.is_dir():
            inner = [Path(e) for e in entries(Path(entry)) if e.is_file()]
            inner = [path for path in inner if naming.parse(path.name) == name]
        elif not entry.is_file():
            continue
        role = (name.part, name.kind)
        files.setdefault(name.family, {}).setdefault(role, []).extend(inner)
    for roles in files.values():
        for paths in roles.values():
            paths.sort(key=lambda path: (path.suffix != ".gz", len(path.name), path))
    return files


def data_sets(folder: Path) -> tuple[list[DataSet], list[Incomplete]]:
    """The data sets in a folder, those that are preferred first, and what is incomplete there.

    The order: four files each, pickles, .npz files, tables; of each kind MNIST's own names first.
    """
    files = named_files(folder)
    complete: list[DataSet] = []
    incomplete: list[Incomplete] = []
    for family in sorted(files):
        four, rest = four_files(folder, family, files[family])
        complete += four
        incomplete += rest
    for found, rest in (_pickles(folder), _npz_files(folder)):
        complete += found
        incomplete += rest
    for family in sorted(files, key=lambda family: (family != naming.MNIST, family)):
        found, rest = _tables(family, files[family])
        complete += found
        incomplete += rest
    return complete, incomplete


def four_files(
    folder: Path, family: str, roles: dict[Role, list[Path]]
) -> tuple[list[DataSet], list[Incomplete]]:
    """The data set of four files of a family, or what is missing of it, or nothing."""
    found = {role: paths for role, paths in roles.items() if role in ROLES and paths}
    if not found:
        return [], []
    names = " ".join(paths[0].name for paths in found.values())
    more = {role: roles[role] for role in VALIDATION_ROLES if roles.get(role)}
    expected = {**ROLES, **VALIDATION_ROLES} if more else ROLES
    found |= more
    missing = [name for role, name in expected.items() if role not in found]
    if missing:
        prefix = f"{family}-" if family else ""
        wanted = " or ".join(prefix + name for name in missing)
        there = ", ".join(_named(paths[0]) for paths in found.values())
        problem = f"no file {wanted} (.gz or plain) beside {there}"
        fault = any(naming.says_idx(paths[0].name) for paths in found.values())
        return [], [Incomplete(folder, names, problem, fault)]
    path = found[TRAIN, IMAGES][0]
    return [DataSet(path, family, names, partial(_read_four, family, found))], []


def _named(path: Path) -> str:
    """The name of a file, and what it is if it is no file of four."""
    what = describe_file(path)
    known = what == IDX_FILE or len(array_names(path) or ()) == 1
    return path.name if known else f"{path.name}, which is {what}"


def _read_four(family: str, files: dict[Role, list[Path]]) -> Splits:
    training, test = (_read_pair(family, files, part) for part in (TRAIN, TEST))
    check_some(training.labels, str(files[TRAIN, IMAGES][0]))
    has_validation = (VALIDATION, IMAGES) in files
    return divided(
        training, test, _read_pair(family, files, VALIDATION) if has_validation else None
    )


def _read_pair(family: str, files: dict[Role, list[Path]], part: str) -> Bytes:
    rules = replace(convention(family), in_columns=True)

    def images(path: Path) -> tuple[NDArray[Any], str]:
        array = _array(path, read_images)
        image_bytes(array[:0], str(path))
        return array, str(path)

    def labels(path: Path) -> tuple[NDArray[Any], str]:
        array = _array(path, read_labels)
        label_numbers(array, str(path), rules)
        return array, str(path)

    return labelled(
        first_whole(files[part, IMAGES], images), first_whole(files[part, LABELS], labels), rules
    )


def _array(path: Path, read: Callable[[BinaryIO, Path], NDArray[Any]]) -> NDArray[Any]:
    if read_start(path).startswith(ZIP) and array_names(path) is not None:
        return read_array(path)
    with open_unpacked(path) as file, reading(path):
        return read(file, path)


def _pickles(folder: Path) -> tuple[list[DataSet], list[Incomplete]]:
    """The pickles of MNIST in a folder, by their names; shorter names come first."""
    paths = [Path(entry) for entry in entries(folder) if entry.is_file()]
    found = [path for path in paths if naming.is_pickle(path.name)]
    found.sort(key=lambda path: len(path.name))
    return [DataSet(path, "", path.name, partial(read_pickle, path)) for path in found], []


def _npz_files(folder: Path) -> tuple[list[DataSet], list[Incomplete]]:
    """The .npz files of a whole data set in a folder; mnist.npz comes first."""
    found: list[DataSet] = []
    rest: list[Incomplete] = []
    for path in map(Path, entries(folder)):
        if path.suffix != ".npz" or not path.is_file() or naming.parse(path.name) is not None:
            continue
        if is_data_set(path):
            found.append(DataSet(path, "", path.name, partial(read_npz, path)))
        elif path.name == KERAS:
            problem = f"{describe_file(path)}, not a data set"
            rest.append(Incomplete(path, path.name, problem, array_names(path) is None))
    return sorted(found, key=lambda item: item.path.name != KERAS), rest


def _tables(family: str, roles: dict[Role, list[Path]]) -> tuple[list[DataSet], list[Incomplete]]:
    """The data set in the tables of a family."""
    good: dict[str | None, list[Path]] = {}
    rest: list[Incomplete] = []
    for (part, kind), paths in roles.items():
        for path in paths if kind == TABLE else ():
            problem = table_problem(path)
            if problem is None:
                good.setdefault(part, []).append(path)
            else:
                rest.append(Incomplete(path, path.name, problem, False))
    if TRAIN in good:
        train, test = good[TRAIN], good.get(TEST, [])
    elif None in good:
        train, test = good[None], []
    else:
        rest += [
            Incomplete(path, path.name, "test images, and no train.csv beside them", False)
            for path in good.get(TEST, ())
        ]
        return [], rest
    load = partial(read_tables, family, train, test)
    return [DataSet(train[0], family, train[0].name, load)], rest


def read_tables(family: str, train: list[Path], test: list[Path]) -> Splits:
    """The data set in tables in text: of the training images, and of the test images if there are
    any with labels. Without those, a part of the training images is the test part.

    train, test: files with the same contents; the first that is whole is read.
    """
    rules = convention(family)
    training = first_whole(train, lambda path: read_table(path, rules))
    usable = [path for path in test if has_labels(path)]
    if test and not usable:
        warnings.warn(
            f"{test[0]}: images without labels, which are not used; the test part is the last"
            f" seventh of {train[0]}",
            stacklevel=2,
        )
    if not usable:
        return divided(training)
    return divided(training, first_whole(usable, lambda path: read_table(path, rules)))


def set_of_file(path: Path) -> DataSet | None:
    """The complete data set that the file at `path` is one of several files of, or None.

    The file comes before others of its role.
    """
    name = naming.parse(path.name, path.absolute().parent.name)
    if name is None or name.part is None:
        return None
    for folder in (path.parent, path.absolute().parent.parent):
        files = named_files(folder).get(name.family, {})
        same = files.get((name.part, name.kind), [])
        if not any(other.samefile(path) for other in same):
            continue
        same.sort(key=lambda other: not other.samefile(path))
        if name.kind != TABLE:
            found, _ = four_files(folder, name.family, files)
        elif (TRAIN, TABLE) in files:
            found, _ = _tables(name.family, files)
        else:
            continue
        if found:
            return found[0]
    return None
