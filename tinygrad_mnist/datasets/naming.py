"""What the names of data files say: family, part, and contents."""

from __future__ import annotations

import re
from dataclasses import dataclass

IMAGES, LABELS, TABLE = "images", "labels", "table"
TRAIN, TEST, VALIDATION = "train", "test", "validation"
MNIST = "mnist"

# "train-images-idx3-ubyte.gz" and the ways in which it is spelled elsewhere: another part before
# it, "test" for "t10k", dots and underscores for dashes, endings added or lost, " (1)" of a second
# download.
_FILE = re.compile(
    r"(?:(?P<family>.*?)[-_. ])??(?P<part>train(?:ing)?|t10k|test(?:ing)?|validation)"
    r"[-_. ]?(?P<kind>images?|imgs?|labels?)"
    r"(?:[-_. ]?idx[123])?(?:[-_. ]?(?:ubyte|int))?(?:[-_ ]*\(\d+\)|[-_ ](?:copy|\d+))?"
    r"(?P<suffix>(?:\.\w+)*)(?: \(\d+\))?",
    re.IGNORECASE,
)
# The same, where the part is the folder's name: "train/images-idx3-ubyte.gz".
_IN_FOLDER = re.compile(
    r"(?P<kind>images?|labels?)(?:[-_. ]?idx[123])?(?:[-_. ]?(?:ubyte|int))?(?P<suffix>(?:\.\w+)*)",
    re.IGNORECASE,
)
# "train.csv", "mnist_test.csv", "emnist-letters-train.csv.gz", "mnist_train_small.csv"
_TABLE = re.compile(
    r"(?:(?P<family>.*?)[-_. ])??(?P<part>train(?:ing)?|t10k|test(?:ing)?)"
    r"(?:[-_ ](?:small|data|set|\d+))?(?: ?\(\d+\))?\.(?:csv|tsv)(?:\.(?:gz|xz|bz2))?",
    re.IGNORECASE,
)
# "mnist.csv", "mnist_784.csv"
_WHOLE_TABLE = re.compile(
    r"(?P<family>[\w-]*mnist(?:[-_](?:784|data))?)\.csv(?:\.(?:gz|xz|bz2))?", re.IGNORECASE
)
# "mnist.pkl.gz", "mnist_py3k.pkl.gz"; not a pickled network
_PICKLE = re.compile(r"mnist(?:[-_.]?py\w*)?\.(?:pkl|pickle)(?:\.gz)?", re.IGNORECASE)
# Without "idx" or "ubyte" in the name, these endings are data: train_images.png is not.
_DATA_SUFFIX = re.compile(r"(?:\.(?:idx\d?|ubyte|bin|dat|npz|gz|xz|bz2))*", re.IGNORECASE)
_IDX = re.compile(r"idx|ubyte", re.IGNORECASE)
# Endings of files that are about a data file, and of QMNIST's labels as text beside those in IDX.
_ABOUT = re.compile(
    r".*\.(?:md5|sha\d*|asc|sig|txt|json|py|torrent)|.*labels\.[ct]sv(?:\.gz)?", re.IGNORECASE
)
#: Words in names that say that a data set is another one than MNIST.
OTHER_SETS = re.compile(r"[a-z]mnist|fashion|kuzushiji|k49|sign[-_]|cifar|svhn", re.IGNORECASE)
#: Subfolders into which a search looks that nobody asked for by name.
LIKELY_FOLDER = re.compile(r"mnist|fashion|^raw$|^gzip$|^input_data$", re.IGNORECASE)


@dataclass(frozen=True)
class Name:
    """What the name of a file says.

    family: the words before the part, in lower case; empty for MNIST's four files. It tells
        mnist_train.csv from a contest's train.csv, whose images are others.
    part: TRAIN, TEST or VALIDATION; None for a table of all images. kind: IMAGES, LABELS or TABLE.
    """

    family: str
    part: str | None
    kind: str


def parse(name: str, folder: str = "") -> Name | None:
    """What the name of a file in a folder of that name says; None if it says nothing."""
    if _ABOUT.fullmatch(name):
        return None
    if found := _TABLE.fullmatch(name):
        return Name(_family(found), _part(found["part"]), TABLE)
    if found := _WHOLE_TABLE.fullmatch(name):
        return Name(_family(found), None, TABLE)
    if found := _FILE.fullmatch(name):
        family, part = _family(found), _part(found["part"])
    elif (found := _IN_FOLDER.fullmatch(name)) and _part(folder) is not None:
        family, part = "", _part(folder)
    else:
        return None
    if not (says_idx(name) or _DATA_SUFFIX.fullmatch(found["suffix"])):
        return None
    # MNIST's four files have its name in front of them or not.
    kind = LABELS if found["kind"].lower().startswith("label") else IMAGES
    return Name("" if family == MNIST else family, part, kind)


def says_idx(name: str) -> bool:
    """Whether the name is one of an IDX file, whatever its ending."""
    return _IDX.search(name) is not None


def is_pickle(name: str) -> bool:
    """Whether the name is one of a pickle of MNIST: mnist.pkl.gz."""
    return _PICKLE.fullmatch(name) is not None


def _family(found: re.Match[str]) -> str:
    family = (found["family"] or "").lower().replace("_", "-").strip("-. ")
    return MNIST if re.fullmatch(r"mnist(-784|-data)?", family) else family


def _part(word: str) -> str | None:
    word = word.lower()
    if word.startswith("train"):
        return TRAIN
    if word == VALIDATION:
        return VALIDATION
    return TEST if word in ("t10k", "test", "testing") else None
