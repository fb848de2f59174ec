"""Every wide-spread layout of MNIST-like data gives the same three parts."""

from __future__ import annotations

import gzip
import itertools
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.mnist_layouts import PACK, Original, check, idx, original, table, write_four

from tinygrad_mnist.datasets import DatasetError, load_digits, load_mnist, save_splits

DATA = original(24, 8)
PIXEL_NAMES = [f"pixel{k}" for k in range(784)]


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize(
    ("names", "test"),
    [
        ("{part}-{kind}-idx{n}-ubyte", "t10k"),
        ("{part}-{kind}.idx{n}-ubyte", "t10k"),
        ("{part}_{kind}_idx{n}_ubyte", "t10k"),
        ("{part}-{kind}-idx{n}-ubyte", "test"),
        ("{part}-{kind}", "test"),
        ("{part}_{kind}", "t10k"),
        ("{part}-{kind}.idx", "t10k"),
        ("{part}-{kind}.idx{n}", "t10k"),
        ("{part}-{kind}-idx{n}-ubyte.bin", "t10k"),
        ("{part}-{kind}-idx{n}-ubyte (1)", "t10k"),
        ("{part}-{kind}-idx{n}-ubyte(2)", "t10k"),
        ("{part}-{kind}-idx{n}-ubyte_1", "t10k"),
        ("{part}-{kind}-idx{n}-ubyte copy", "t10k"),
        ("{part}{kind}", "test"),
        ("mnist-{part}-{kind}-idx{n}-ubyte", "t10k"),
        ("MNIST_{part}_{kind}", "test"),
        ("fashion-mnist-{part}-{kind}-idx{n}-ubyte", "t10k"),
        ("kmnist-{part}-{kind}-idx{n}-ubyte", "test"),
    ],
)
def test_names_of_idx_files(tmp_path: Path, names: str, test: str, packing: str) -> None:
    check(load_mnist(write_four(tmp_path, DATA, names, packing, test)), DATA)


@pytest.mark.parametrize("case", ["upper", "capital"])
def test_names_in_capitals(tmp_path: Path, case: str) -> None:
    for path in write_four(tmp_path, DATA).iterdir():
        path.rename(tmp_path / (path.name.upper() if case == "upper" else path.name.capitalize()))
    check(load_mnist(tmp_path), DATA)


@pytest.mark.parametrize(("ending", "packing"), [(".gz", ""), ("", ".gz"), (".gz", ".xz")])
def test_contents_decide_and_not_the_ending(tmp_path: Path, ending: str, packing: str) -> None:
    for path in write_four(tmp_path, DATA).iterdir():
        data = path.read_bytes()
        path.unlink()
        (tmp_path / f"{path.name}{ending}").write_bytes(PACK[packing](data))
    check(load_mnist(tmp_path), DATA)


@pytest.mark.parametrize(
    "given", ["", "data", "data/root", "data/root/MNIST", "data/root/MNIST/raw"]
)
@pytest.mark.parametrize("both", [True, False])
def test_torchvision_and_its_parents(tmp_path: Path, given: str, both: bool) -> None:
    raw = write_four(tmp_path / "data" / "root" / "MNIST" / "raw", DATA)
    if both:
        write_four(raw, DATA, packing=".gz")
    check(load_mnist(tmp_path / given), DATA)


def test_torchvision_with_several_sets(tmp_path: Path) -> None:
    """MNIST is taken where it is among others; else one has to be named."""
    other = original(24, 8, seed=1)
    write_four(tmp_path / "FashionMNIST" / "raw", other)
    check(load_mnist(tmp_path), other)
    write_four(tmp_path / "KMNIST" / "raw", original(24, 8, seed=2))
    with pytest.raises(DatasetError, match="several data sets; name one") as e:
        load_mnist(tmp_path)
    assert "FashionMNIST" in str(e.value)
    assert "KMNIST" in str(e.value)
    write_four(tmp_path / "MNIST" / "raw", DATA)
    check(load_mnist(tmp_path), DATA)


def test_folders_with_the_names_of_the_files(tmp_path: Path) -> None:
    """Kaggle's archive of MNIST has each file twice, once in a folder of its name."""
    for path in write_four(tmp_path / "files", DATA, "{part}-{kind}.idx{n}-ubyte").iterdir():
        folder = tmp_path / "archive" / path.name.replace(".", "-")
        folder.mkdir(parents=True)
        (folder / path.name.replace(".", "-")).write_bytes(path.read_bytes())
    check(load_mnist(tmp_path / "archive"), DATA)
    inner = tmp_path / "archive" / "train-images-idx3-ubyte" / "train-images-idx3-ubyte"
    check(load_mnist(inner), DATA)
    write_four(tmp_path / "archive", DATA, "{part}-{kind}.idx{n}-ubyte")
    check(load_mnist(tmp_path / "archive"), DATA)


@pytest.mark.parametrize("names", ["{part}-{kind}-idx{n}-ubyte", "{kind}-idx{n}-ubyte", "{kind}"])
def test_parts_in_folders_of_their_own(tmp_path: Path, names: str) -> None:
    write_four(tmp_path / "all", DATA)
    for part, source in (("train", "train"), ("test", "t10k")):
        (tmp_path / "set" / part).mkdir(parents=True)
        for kind, n in (("images", 3), ("labels", 1)):
            data = (tmp_path / "all" / f"{source}-{kind}-idx{n}-ubyte").read_bytes()
            name = names.format(part=part, kind=kind, n=n)
            (tmp_path / "set" / part / name).write_bytes(data)
    check(load_mnist(tmp_path / "set"), DATA)


def test_a_file_stands_for_the_set(tmp_path: Path) -> None:
    """In a folder with several sets, any file of one names it."""
    sets = {name: original(24, 8, seed=k) for k, name in enumerate(["digits", "mnist", "balanced"])}
    for name, data in sets.items():
        turned = Original(*(a.transpose(0, 2, 1) if a.ndim == 3 else a for a in data))
        write_four(
            tmp_path, turned, f"emnist-{name}-{{part}}-{{kind}}-idx{{n}}-ubyte", ".gz", "test"
        )
    with pytest.raises(DatasetError, match="several data sets"):
        load_mnist(tmp_path)
    for name, data in sets.items():
        for path in tmp_path.glob(f"emnist-{name}-*"):
            check(load_mnist(path), data)


@pytest.mark.parametrize(
    ("split", "classes", "first"),
    [
        ("digits", 10, 0),
        ("mnist", 10, 0),
        ("letters", 26, 1),
        ("balanced", 47, 0),
        ("bymerge", 47, 0),
        ("byclass", 62, 0),
    ],
)
@pytest.mark.parametrize("packing", ["", ".gz"])
@pytest.mark.parametrize("nested", ["", "gzip", "EMNIST/raw"])
def test_emnist(
    tmp_path: Path, split: str, classes: int, first: int, packing: str, nested: str
) -> None:
    data = original(24, 8, classes=classes)
    turned = Original(
        data.images.transpose(0, 2, 1),
        data.labels + np.uint8(first),
        data.test_images.transpose(0, 2, 1),
        data.test_labels + np.uint8(first),
    )
    names = f"emnist-{split}-{{part}}-{{kind}}-idx{{n}}-ubyte"
    write_four(tmp_path / nested, turned, names, packing, "test")
    (tmp_path / nested / f"emnist-{split}-mapping.txt").write_text("0 48\n")
    check(load_mnist(tmp_path), data)
    above = turned._replace(labels=turned.labels + np.uint8(1))
    write_four(tmp_path / nested, above, names, packing, "test")
    last = first + classes - 1
    with pytest.raises(DatasetError, match=rf"label {last + 1} at index \d+ is not in {first}\.\."):
        load_mnist(tmp_path)


@pytest.mark.parametrize("packing", ["", ".gz", ".xz"])
def test_qmnist(tmp_path: Path, packing: str) -> None:
    rng = np.random.default_rng(1)
    for part, images, labels in (("train", DATA[0], DATA[1]), ("test", DATA[2], DATA[3])):
        rows = rng.integers(0, 2**31 - 1, (len(labels), 8), dtype=np.int32)
        rows[:, 0] = labels
        (tmp_path / f"qmnist-{part}-images-idx3-ubyte{packing}").write_bytes(
            PACK[packing](idx(images))
        )
        (tmp_path / f"qmnist-{part}-labels-idx2-int{packing}").write_bytes(PACK[packing](idx(rows)))
    check(load_mnist(tmp_path), DATA)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_integers_of_labels(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    write_four(tmp_path, DATA)
    for part, labels in (("train", DATA.labels), ("t10k", DATA.test_labels)):
        path = tmp_path / f"{part}-labels-idx1-ubyte"
        path.write_bytes(idx(labels.astype(dtype).reshape(shape)))
    check(load_mnist(tmp_path), DATA)


IMAGES_AND_LABELS = ("train_images", "train_labels", "test_images", "test_labels")
KERAS = ("x_train", "y_train", "x_test", "y_test")


@pytest.mark.parametrize(
    "names", [KERAS, ("train_images", "train_labels", "test_images", "test_labels")]
)
@pytest.mark.parametrize("shape", [(28, 28), (784,), (28, 28, 1), (1, 28, 28)])
@pytest.mark.parametrize(
    ("pixels", "labels"), [("uint8", "uint8"), ("int64", "int32"), ("float32", "float64")]
)
@pytest.mark.parametrize("given", ["keras.npz", "mnist", ""])
def test_npz(
    tmp_path: Path,
    names: tuple[str, ...],
    shape: tuple[int, ...],
    pixels: str,
    labels: str,
    given: str,
) -> None:
    arrays: dict[str, Any] = {}
    for name, values in zip(names, DATA, strict=True):
        images = values.ndim == 3
        arrays[name] = (
            values.reshape(-1, *shape).astype(pixels) if images else values.astype(labels)
        )
    path = tmp_path / (given or "mnist.npz")
    with path.open("wb") as file:
        (np.savez if given else np.savez_compressed)(file, **dict(sorted(arrays.items())))
    check(load_mnist(path if given else tmp_path), DATA)


def test_npz_with_a_validation_part_and_columns_of_labels(tmp_path: Path) -> None:
    """As MedMNIST's files."""
    arrays: dict[str, Any] = {"val_images": DATA.images[20:], "val_labels": DATA.labels[20:, None]}
    arrays |= {"train_images": DATA.images[:20], "train_labels": DATA.labels[:20, None]}
    arrays |= {"test_images": DATA.test_images, "test_labels": DATA.test_labels[:, None]}
    np.savez(tmp_path / "organmnist.npz", **arrays)
    check(load_mnist(tmp_path / "organmnist.npz"), DATA)


@pytest.mark.parametrize("family", ["kmnist", "k49"])
@pytest.mark.parametrize("given", ["", "kmnist", "file"])
def test_kmnist(tmp_path: Path, family: str, given: str) -> None:
    data = original(24, 8, classes=49 if family == "k49" else 10)
    folder = tmp_path / "kmnist"
    folder.mkdir()
    for part, images, labels in (("train", data[0], data[1]), ("test", data[2], data[3])):
        np.savez_compressed(folder / f"{family}-{part}-imgs.npz", images)
        np.savez_compressed(folder / f"{family}-{part}-labels.npz", labels)
    path = folder / f"{family}-train-imgs.npz" if given == "file" else tmp_path / given
    check(load_mnist(path), data)


HEADERS: dict[str, list[str] | None] = {
    "kaggle": ["label", *PIXEL_NAMES],
    "positions": ["label", *(f"{r}x{c}" for r in range(1, 29) for c in range(1, 29))],
    "quoted": ['"label"', *(f'"{name}"' for name in PIXEL_NAMES)],
    "capital": ["Label", *PIXEL_NAMES],
    "numbers": [str(k) for k in range(785)],
    "another label": ["number", *PIXEL_NAMES],
    "none": None,
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("packing", ["", ".gz"])
@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("mnist_train", "mnist_test"), ("fashion_train", "fashion_test"),
     ("mnist_train_small", "mnist_test"), ("mnist_train_100", "mnist_test_10")],
)  # fmt: skip
def test_tables(tmp_path: Path, header: str, packing: str, train: str, test: str) -> None:
    for name, images, labels in ((train, DATA[0], DATA[1]), (test, DATA[2], DATA[3])):
        text = table(images, labels, HEADERS[header])
        (tmp_path / f"{name}.csv{packing}").write_bytes(PACK[packing](text.encode()))
    check(load_mnist(tmp_path), DATA)
    check(load_mnist(tmp_path / f"{train}.csv{packing}"), DATA)
    check(load_mnist(tmp_path / f"{test}.csv{packing}"), DATA)


def rewritten(case: str) -> str:
    text = table(DATA.images, DATA.labels, HEADERS["kaggle"])
    lines = text.splitlines()
    if case == "crlf":
        return text.replace("\n", "\r\n")
    if case == "bom":
        return "\ufeff" + text
    if case == "semicolons":
        return text.replace(",", ";")
    if case == "tabs":
        return text.replace(",", "\t")
    if case == "spaces":
        return text.replace(",", ", ")
    if case == "blank lines":
        return "\n" + text + "\n\n"
    if case == "floats":
        return "\n".join([lines[0], *(line.replace(",", ".0,") + ".0" for line in lines[1:])])
    if case == "quoted":
        return "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in lines)
    if case == "row numbers":
        return "\n".join([f",{lines[0]}", *(f"{k},{line}" for k, line in enumerate(lines[1:]))])
    assert case == "label last"
    return "\n".join(
        f"{','.join(line.split(',')[1:])},{'class' if k == 0 else line.split(',')[0]}"
        for k, line in enumerate(lines)
    )


def sevenths(data: Original) -> Original:
    """All images of the training part, divided as a file of its own: its last seventh is tested."""
    cut = len(data.labels) - len(data.labels) // 7
    return Original(data.images[:cut], data.labels[:cut], data.images[cut:], data.labels[cut:])


@pytest.mark.parametrize(
    "case",
    ["crlf", "bom", "semicolons", "tabs", "spaces", "blank lines", "floats", "quoted",
     "row numbers", "label last"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["train.csv", "data.csv", "mnist_784.csv", "digits.txt"])
def test_ways_to_write_a_table(tmp_path: Path, case: str, name: str) -> None:
    (tmp_path / name).write_bytes(rewritten(case).encode())
    check(load_mnist(tmp_path / name), sevenths(DATA))


@pytest.mark.parametrize("given", ["", "train.csv"])
def test_a_contest_without_labels_for_its_test_images(tmp_path: Path, given: str) -> None:
    (tmp_path / "train.csv").write_text(table(DATA.images, DATA.labels, HEADERS["kaggle"]))
    (tmp_path / "test.csv").write_text(table(DATA.test_images, None, PIXEL_NAMES))
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")
    with pytest.warns(UserWarning, match=r"test\.csv: images without labels") as caught:
        check(load_mnist(tmp_path / given), sevenths(DATA))
    assert len(caught) == 1
    (tmp_path / "train.csv").unlink()
    with pytest.raises(DatasetError, match=r"test\.csv: 784 columns of pixels and no labels"):
        load_mnist(tmp_path / "test.csv")


def test_the_contest_and_all_of_mnist_are_not_mixed(tmp_path: Path) -> None:
    """The contest's training images include test images of mnist_test.csv."""
    (tmp_path / "train.csv").write_text(table(DATA.images, DATA.labels, HEADERS["kaggle"]))
    (tmp_path / "test.csv").write_text(table(DATA.test_images, None, PIXEL_NAMES))
    other = original(24, 8, seed=1)
    (tmp_path / "mnist_train.csv").write_text(table(other.images, other.labels))
    (tmp_path / "mnist_test.csv").write_text(table(other.test_images, other.test_labels))
    check(load_mnist(tmp_path), other)
    check(load_mnist(tmp_path / "mnist_test.csv"), other)
    with pytest.warns(UserWarning, match="images without labels"):
        check(load_mnist(tmp_path / "train.csv"), sevenths(DATA))


def test_letters_in_tables_are_transposed_too(tmp_path: Path) -> None:
    data = original(24, 8, classes=26)
    for part, images, labels in (("train", data[0], data[1]), ("test", data[2], data[3])):
        text = table(images.transpose(0, 2, 1), labels + 1)
        (tmp_path / f"emnist-letters-{part}.csv").write_text(text)
    check(load_mnist(tmp_path), data)


@pytest.mark.parametrize("name", ["mnist.pkl.gz", "mnist.pkl", "mnist_py3k.pkl.gz", "data.npz"])
def test_a_folder_with_one_file(tmp_path: Path, name: str) -> None:
    splits = load_digits(0, 50, 10, 20)
    if name.endswith(".pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(tuple(map(tuple, splits))))
    else:
        save_splits(tmp_path / name, splits)
    for got, expected in zip(load_mnist(tmp_path), splits, strict=True):
        np.testing.assert_array_equal(got.images, expected.images)


@pytest.mark.parametrize("layout", ["idx", "npz"])
def test_the_sizes_of_mnist(tmp_path: Path, layout: str) -> None:
    labels = np.arange(70_000).astype("u1") % 10
    data = Original(
        np.zeros((60_000, 28, 28), "u1"), labels[:60_000], np.zeros((10_000, 28, 28), "u1"),
        labels[60_000:],
    )  # fmt: skip
    if layout == "idx":
        write_four(tmp_path, data)
    else:
        np.savez(tmp_path / "mnist.npz", **dict(zip(KERAS, data, strict=True)))
    parts = load_mnist(tmp_path)
    assert [part.images.shape for part in parts] == [(50_000, 784), (10_000, 784), (10_000, 784)]
    assert [len(part.labels) for part in parts] == [50_000, 10_000, 10_000]


@pytest.mark.parametrize(("training", "test"), [(1, 1), (5, 1), (6, 2), (7, 0), (61, 3)])
def test_small_counts(tmp_path: Path, training: int, test: int) -> None:
    data = Original(
        *original(training, 1)[:2], np.zeros((test, 28, 28), "u1"), np.zeros(test, "u1")
    )
    check(load_mnist(write_four(tmp_path, data)), data)


ORDER = ["idx", "pickle", "npz", "csv"]


@pytest.mark.parametrize("present", list(itertools.combinations(ORDER, 2)))
def test_which_of_several_layouts_is_taken(tmp_path: Path, present: tuple[str, str]) -> None:
    """IDX files before pickles, .npz files and tables; nothing of the others is warned of."""
    for seed, layout in enumerate(present):
        data = original(24, 8, seed=seed)
        if layout == "idx":
            write_four(tmp_path, data)
        elif layout == "pickle":
            splits = tuple(
                (images.reshape(-1, 784).astype("f4") / np.float32(256), labels.astype("i8"))
                for images, labels in (
                    (data[0][:20], data[1][:20]), (data[0][20:], data[1][20:]), data[2:]
                )
            )  # fmt: skip
            (tmp_path / "mnist.pkl.gz").write_bytes(gzip.compress(pickle.dumps(splits)))
        elif layout == "npz":
            np.savez(tmp_path / "mnist.npz", **dict(zip(KERAS, data, strict=True)))
        else:
            (tmp_path / "train.csv").write_text(table(data[0], data[1]))
            (tmp_path / "test.csv").write_text(table(data[2], data[3]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(load_mnist(tmp_path), original(24, 8, seed=0))
